"""Samplers in the real engine: foreign and our own share forwards, leave nothing behind, and end when a job is cancelled."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from gesso.engine import Ended, Engine, Hooks, ModelRef, Run, Ticket, drive, plain
from gesso.math import Noise, initial_noise
from gesso.model import Conditioning, ModelCard, Patch
from gesso.plugin import SamplerSpec, from_k_diffusion
from gesso.testing import Wavy, epsilon_model, run
from gesso_plugins.samplers.plugin import SAMPLERS
from gesso_plugins.samplers.schedules.by_sigma import karras

MODEL = epsilon_model()
LEVELS = karras(MODEL, 8)
REF = ModelRef("wavy", "d" * 8)


class Rows:
    """A model whose rows do not depend on one another, and the residency that holds it."""

    parametrisation = MODEL
    card_ = ModelCard("wavy", "toys", "d" * 8, "Wavy", None, frozenset({"denoise"}))
    device = torch.device("cpu")
    nbytes = 1000

    def __init__(self) -> None:
        self.batches: list[int] = []

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        yield

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        self.batches.append(len(x))
        return torch.cat([Wavy(MODEL)(x[i : i + 1], float(sigma[i])).denoised for i in range(len(x))])

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return 2, height // 8, width // 8

    @contextlib.contextmanager
    def using(self, ref: ModelRef) -> Iterator[Any]:
        yield self

    def card(self, ref: ModelRef) -> ModelCard:
        return self.card_

    def make_room(self) -> int:
        return 0


def start() -> Tensor:
    return initial_noise((1, 2, 4, 4), 1) * LEVELS[0]


def job(spec: SamplerSpec, options: dict[str, Any]) -> Generator[Any, Any, Tensor]:
    given = {"noise": Noise.like(start(), 5), "parametrisation": MODEL}
    steps = spec(start(), LEVELS, **{name: value for name, value in given.items() if name in spec.takes}, **options)
    return (yield from drive(Run(steps, name=spec.name), plain(REF, Conditioning(torch.zeros(1, 3, 8)))))


@pytest.fixture
def engine() -> Iterator[tuple[Engine, Rows, dict[str, Ended]]]:
    ends: dict[str, Ended] = {}
    rows = Rows()

    def note(name: str, event: Any) -> None:
        if isinstance(event, Ended):
            ends[name] = event

    with ThreadPoolExecutor(1) as pool:
        yield Engine(rows, pool, Hooks(note)), rows, ends  # type: ignore[arg-type]


def test_foreign_and_own_samplers_share_forwards(engine: tuple[Engine, Rows, dict[str, Ended]], k_diffusion: Any) -> None:
    """Two foreign functions, one of which draws from torch's global generator at each step, beside one of ours."""
    loop, rows, ends = engine
    specs: dict[str, tuple[SamplerSpec, dict[str, Any]]] = {
        "churning": (from_k_diffusion(k_diffusion.sample_euler), {"s_churn": 3.0}),
        "ancestral": (from_k_diffusion(k_diffusion.sample_euler_ancestral), {}),
        "own": (next(spec for spec in SAMPLERS if spec.name == "dpmpp_2m"), {}),
    }
    state = torch.get_rng_state()
    for name, (spec, options) in specs.items():
        loop.start(Ticket(name, level="fast"), job(spec, options))
    loop.run()
    assert sum(rows.batches) == 3 * 8
    assert max(rows.batches) > 1  # it measures small batches first
    assert torch.equal(torch.get_rng_state(), state)
    for name, (spec, options) in specs.items():
        assert ends[name].state == "done", ends[name].error
        alone = run(spec, Wavy(MODEL), start(), LEVELS, noise=Noise.like(start(), 5), model=MODEL, **options)
        torch.testing.assert_close(ends[name].value, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("turns", range(1, 7))
def test_cancelling_unwinds_a_foreign_function(turns: int, engine: tuple[Engine, Rows, dict[str, Ended]], k_diffusion: Any) -> None:
    loop, _, ends = engine
    log: list[str] = []

    def sample(model: Callable[..., Tensor], x: Tensor, sigmas: Tensor, disable: bool = True) -> Any:
        try:
            return k_diffusion.sample_heun(model, x, sigmas, disable=disable)
        finally:
            log.append("finally")

    loop.start(Ticket("job"), job(from_k_diffusion(sample), {}))
    for _ in itertools.repeat(None, turns):
        loop.turn()
    assert log == []
    loop.cancel("job")
    loop.run()
    assert ends["job"].state == "cancelled"
    assert log == ["finally"]


@pytest.mark.parametrize("spec", SAMPLERS, ids=lambda spec: spec.name)
def test_every_sampler_runs_in_the_engine(spec: SamplerSpec, engine: tuple[Engine, Rows, dict[str, Ended]]) -> None:
    """The guard against leaked state is on: nothing global is drawn from or changed."""
    loop, _, ends = engine
    loop.start(Ticket("job"), job(spec, {}))
    loop.run()
    assert ends["job"].state == "done", ends["job"].error
    assert ends["job"].value.isfinite().all()
