"""Samplers and denoisers without an engine: what they ask and what they are told."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import torch
from tests.engine.toys import FLOATS, REF, SIGMAS, euler, heun, noise, prompted, restart
from torch import Tensor

from gesso.engine import Denoise, Denoised, Emit, Kept, Preview, Progress, Run, drive, masked, plain, reporting
from gesso.errors import PluginError
from gesso.model import Conditioning, Parametrisation

COND, UNCOND = Conditioning(torch.ones(1, 3, 8)), Conditioning(torch.zeros(1, 3, 8))
FLOW = Parametrisation("flow", (0.1, 1.0))


def x0_of(x: Tensor, sigma: float, cond: Conditioning) -> Tensor:
    return x / (1 + sigma) * (1.0 + cond.tokens.mean())


def answer(call: Denoise) -> Denoised:
    rows = tuple(x0_of(call.x, call.sigma, cond) for cond in call.conds)
    return Denoised(rows[0], rows[-1], rows)


def finish(generator: Generator[Any, Any, Any]) -> tuple[Any, list[Any]]:
    """Answer every call; returns the result and all that was yielded."""
    asked: list[Any] = []
    try:
        item = next(generator)
        while True:
            asked.append(item)
            item = generator.send(answer(item) if isinstance(item, Denoise) else None)
    except StopIteration as end:
        return end.value, asked


@pytest.mark.parametrize("sampler", [euler, heun, restart])
def test_driving_in_parts_equals_driving_at_once(sampler: Any) -> None:
    denoiser = prompted(COND, UNCOND, 4.0)
    whole, asked = finish(drive(sampler(noise(1), SIGMAS), denoiser))
    run = Run(sampler(noise(1), SIGMAS))
    for _ in range(100):
        part, more = finish(drive(run, denoiser, 2))
        assert len(more) <= 2
        if run.done:
            break
        assert torch.equal(part, run.x)
    assert torch.equal(part, whole)
    assert run.evaluations == len(asked)


def test_a_run_that_is_done_stays_so() -> None:
    run = Run(euler(noise(1), SIGMAS))
    first, _ = finish(drive(run, plain(REF, COND)))
    second, asked = finish(drive(run, plain(REF, COND), 5))
    assert asked == []
    assert torch.equal(first, second)


def test_a_sampler_that_asks_for_nothing_returns_its_start() -> None:
    result, asked = finish(drive(euler(noise(1), [1.0]), plain(REF, COND)))
    assert asked == []
    assert torch.equal(result, noise(1))


def test_closing_the_drive_closes_the_sampler() -> None:
    closed: list[str] = []

    def sampler() -> Generator[Any, Any, Tensor]:
        try:
            yield noise(1), 1.0
        finally:
            closed.append("sampler")
        return noise(1)

    driven = drive(Run(sampler()), plain(REF, COND), 3)
    next(driven)
    driven.close()
    assert closed == ["sampler"]


@pytest.mark.parametrize(("parametrisation", "clean"), [(FLOATS, 1.0), (FLOW, 0.25)])
def test_a_mask_keeps_what_is_outside_byte_for_byte(parametrisation: Parametrisation, clean: float) -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3:] = 1.0
    latent, fixed, x = noise(2), noise(3), noise(4)
    reply, (call,) = finish(masked(plain(REF, COND), Kept(mask, latent, fixed), parametrisation)(x, 0.75))
    kept = (mask == 0).expand_as(x)
    assert torch.equal(reply.denoised[kept], latent[kept])
    assert torch.equal(reply.uncond[kept], latent[kept])
    assert torch.equal(call.x[~kept], x[~kept])
    torch.testing.assert_close(call.x[kept], (latent * clean + fixed * 0.75)[kept])


def test_a_grey_mask_is_kept_through_the_first_steps() -> None:
    sigmas = [1.0, 0.8, 0.6, 0.4, 0.0]
    mask = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4).expand(1, 1, 8, 4)
    kept = Kept(mask, noise(2)[..., :4], noise(3)[..., :4], sigmas)
    painted = [kept.painted(sigma)[0, 0, 0].tolist() for sigma in sigmas[:-1]]
    assert painted == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]]
    assert kept.painted(0.01)[0, 0, 0].tolist() == [0, 1, 1, 1]


def told(sampler: Any, total: int | None) -> list[Progress]:
    denoiser = reporting(plain(REF, COND), image=3, model=REF, sigmas=SIGMAS, total=total)
    _, asked = finish(drive(sampler(noise(1), SIGMAS), denoiser))
    emitted = [event for item in asked if isinstance(item, Emit) for event in item.events]
    previews = [event for event in emitted if isinstance(event, Preview)]
    assert len(previews) == len(emitted) // 2
    assert all(event.image == 3 for event in previews)
    return [event for event in emitted if isinstance(event, Progress)]


def test_progress_counts_where_the_total_is_known() -> None:
    events = told(euler, 6)
    assert [event.step for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.fraction for event in events] == [i / 6 for i in range(1, 7)]
    assert [event.sigma for event in events] == SIGMAS[:-1]


def test_progress_follows_sigma_where_it_is_not_and_never_goes_back() -> None:
    fractions = [event.fraction for event in told(restart, None)]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < 0.2
    assert fractions[-1] == 1.0


def test_a_denoiser_that_answers_nonsense_is_a_plugin_error() -> None:
    def nonsense(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        yield Emit(Progress(0, 0, 0, 0.0, 0.0))
        return x  # type: ignore[return-value]

    with pytest.raises(PluginError, match="'euler'"):
        finish(drive(euler(noise(1), SIGMAS), nonsense))


def test_the_last_sigma_may_be_a_tensor() -> None:
    def sampler() -> Generator[Any, Any, Tensor]:
        reply = yield noise(1), torch.tensor([2.0])
        x: Tensor = reply.denoised
        return x

    _, (call,) = finish(drive(sampler(), plain(REF, COND)))
    assert call.sigma == 2.0
    assert isinstance(call.sigma, float)
