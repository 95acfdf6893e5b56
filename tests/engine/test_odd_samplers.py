"""Samplers that are no plain walk down: unknown numbers of steps, several evaluations a step, rising sigmas, shapes that change."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from typing import Any

import pytest
import torch
from tests.engine.toys import REF, SIGMAS, Bench, euler, heun, noise, prompted, restart, simple
from torch import Tensor

from gesso.engine import Decode, Denoised, EncodeText, Job, Preview, Progress, Run, drive, reporting


def grows(x: Tensor, sigmas: Sequence[float]) -> Generator[tuple[Tensor, float], Denoised, Tensor]:
    """Twice as wide and high from its fourth step on."""
    x = yield from euler(x, sigmas[:4])
    x = torch.nn.functional.interpolate(x, scale_factor=2)
    return (yield from euler(x, sigmas[3:]))


def adaptive(x: Tensor, sigmas: Sequence[float]) -> Generator[tuple[Tensor, float], Denoised, Tensor]:
    """Takes a step again at half its length until two half steps agree with it: how often it asks depends on the picture."""
    sigma, low, h = sigmas[0], min(s for s in sigmas if s > 0), sigmas[0] / 2
    while sigma > low:
        h = min(h, sigma - low)
        d = (x - (yield x, sigma).denoised) / sigma
        middle = x - d * h / 2
        ahead = (middle - (yield middle, sigma - h / 2).denoised) / (sigma - h / 2)
        if (ahead - d).norm() < 0.002 * d.norm() or h < 0.01:
            x, sigma, h = middle - ahead * h / 2, sigma - h, h * 1.5
        else:
            h /= 2
    return x


def picture(sampler: Any, total: int | None, seed: int = 1) -> Job:
    cond, uncond = yield EncodeText(REF, ("a cat", ""))
    denoiser = reporting(prompted(cond, uncond, 3.0), image=0, model=REF, sigmas=SIGMAS, total=total)
    latent = yield from drive(Run(sampler(noise(seed) * SIGMAS[0], SIGMAS), name="odd"), denoiser)
    return latent, (yield Decode(REF, latent))


def told(bench: Bench, job: str) -> list[Progress]:
    return [event for name, event in bench.events if name == job and isinstance(event, Progress)]


ODD = [(adaptive, None), (heun, 11), (restart, 14), (restart, None), (grows, 6)]


@pytest.mark.parametrize(("sampler", "total"), ODD, ids=lambda value: getattr(value, "__name__", str(value)))
def test_an_odd_sampler_alone_equals_itself_in_a_crowd_and_is_near_in_fast(sampler: Any, total: int | None) -> None:
    alone = Bench()
    alone.run(("odd", picture(sampler, total)))
    latent, image = alone.value("odd")
    assert image.isfinite().all()
    for level in ("exact", "fast"):
        bench = Bench()
        crowd = [("odd", picture(sampler, total)), *((str(seed), simple(seed)) for seed in range(4)), ("large", simple(9, size=16))]
        bench.run(*crowd, level=level)
        assert all(bench.end(name).state == "done" for name, _ in crowd)
        near = (0.0, 0.0) if level == "exact" else (1e-3, 1e-4)
        torch.testing.assert_close(bench.value("odd")[0], latent, rtol=near[0], atol=near[1])


def test_an_unknown_number_of_steps_depends_on_the_picture_and_is_told_by_sigma() -> None:
    bench = Bench()
    bench.run(*((str(seed), picture(adaptive, None, seed)) for seed in range(6)))
    counts = {bench.end(str(seed)).evaluations for seed in range(6)}
    assert len(counts) > 1
    for seed in range(6):
        events = told(bench, str(seed))
        fractions = [event.fraction for event in events]
        assert len(events) == bench.end(str(seed)).evaluations
        assert all(event.total is None for event in events)
        assert fractions == sorted(fractions)
        assert 0.0 <= fractions[0] < 0.5 < fractions[-1] <= 1.0
        assert len(set(fractions)) > 3


def test_each_of_several_evaluations_a_step_is_a_border_and_is_counted() -> None:
    bench = Bench()
    bench.run(("a", picture(heun, 11)))
    events = told(bench, "a")
    assert [event.step for event in events] == list(range(1, 12))
    assert [event.fraction for event in events] == [i / 11 for i in range(1, 12)]
    assert [event.sigma for event in events] == [5.0, 3.0, 3.0, 1.8, 1.8, 1.0, 1.0, 0.5, 0.5, 0.2, 0.2]
    for evaluation in range(1, 11):
        stopped = Bench()
        stopped.start("a", picture(heun, 11))
        while len(told(stopped, "a")) < evaluation:
            stopped.engine.turn()
        stopped.engine.cancel("a")
        assert stopped.end("a").state == "cancelled"
        assert stopped.end("a").evaluations <= evaluation + 1


def test_a_sigma_that_rises_takes_no_progress_back() -> None:
    bench = Bench()
    bench.run(("a", picture(restart, None)))
    events = told(bench, "a")
    sigmas, fractions = [event.sigma for event in events], [event.fraction for event in events]
    assert any(after > before for before, after in itertools.pairwise(sigmas))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_shape_that_changes_in_mid_run_changes_the_company() -> None:
    bench = Bench()
    bench.run(*((f"warm {seed}", simple(seed)) for seed in range(6)), level="fast")
    bench.model.batches.clear()
    bench.run(("a", picture(grows, 6)), *((str(seed), simple(seed)) for seed in range(3)), ("large", simple(7, size=16)), level="fast")
    latent, image = bench.value("a")
    assert latent.shape == (1, 4, 16, 16)
    assert image.shape == (1, 3, 16, 16)
    previews = [event.latent.shape[-1] for name, event in bench.events if name == "a" and isinstance(event, Preview)]
    assert previews == [8, 8, 8, 16, 16, 16]
    assert max(bench.model.batches) > 2
