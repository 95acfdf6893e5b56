"""Samplers that misbehave: each is named with its step, ends its own job, and is closed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from tests.engine.toys import CARD, REF, SIGMAS, Bench, ToyModel, noise, simple
from torch import Tensor

from gesso.engine import Job, Run, drive, plain
from gesso.errors import InvalidRequest, ModelError, SamplerFault, TooManyEvaluations
from gesso.model import Conditioning

COND = Conditioning(torch.zeros(1, 3, 8))


def sampled(sampler: Callable[..., Any], *, cap: int = 100) -> Job:
    run = Run(sampler(noise(1), SIGMAS), name="odd", cap=cap)
    return (yield from drive(run, plain(REF, COND)))


def raises(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x, 1.0
    yield x, 0.5
    raise ZeroDivisionError("by  zero\nindeed")


def exits(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x, 1.0
    sys.exit(3)


def wrong_shape(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x, 1.0
    yield x[0], 1.0


def batch_of_two(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield torch.cat([x, x]), 1.0


def no_pair(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x


def not_a_number(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x, 1.0
    yield x * float("nan"), 1.0


def infinite(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    x[0, 0, 0, 0] = float("inf")
    yield x, 1.0


def negative_sigma(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x, -1.0


def sigma_per_pixel(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x, x


def integers(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x.to(torch.int64), 1.0


def returns_nothing(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    yield x, 1.0


BAD = [
    (raises, "ZeroDivisionError: by zero indeed", 3),
    (exits, "SystemExit", 2),
    (wrong_shape, "shape (4, 8, 8)", 2),
    (batch_of_two, "shape (2, 4, 8, 8)", 1),
    (no_pair, "pair (x, sigma)", 1),
    (not_a_number, "NaN", 2),
    (infinite, "infinite", 1),
    (negative_sigma, "-1.0", 1),
    (sigma_per_pixel, "noise level", 1),
    (integers, "int64", 1),
    (returns_nothing, "returned nothing", 2),
]


@pytest.mark.parametrize(("sampler", "said", "step"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_sampler_is_named_with_its_step(sampler: Callable[..., Any], said: str, step: int) -> None:
    reference = Bench()
    reference.run(("good", simple(4)))
    bench = Bench()
    bench.run(("bad", sampled(sampler)), ("good", simple(4)))
    error = bench.end("bad").error
    assert isinstance(error, SamplerFault)
    assert "'odd'" in error.message
    assert said in error.message
    assert error.details == {"sampler": "odd", "step": step}
    assert torch.equal(bench.value("good"), reference.value("good"))


def test_a_sampler_that_never_ends_is_stopped() -> None:
    def endless(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
        while True:
            yield x, 1.0

    reference = Bench()
    reference.run(("good", simple(4)))
    bench = Bench()
    bench.run(("a", sampled(endless, cap=25)), ("good", simple(4)))
    end = bench.end("a")
    assert isinstance(end.error, TooManyEvaluations)
    assert end.error.message == "The sampler 'odd' asked for more than 25 evaluations and was stopped, at step 26."
    assert end.error.details == {"sampler": "odd", "step": 26}
    assert end.evaluations == 26
    assert torch.equal(bench.value("good"), reference.value("good"))
    capped = Bench()
    capped.run(("a", sampled(endless, cap=10_000)), evaluations=7)
    assert isinstance(capped.end("a").error, TooManyEvaluations)


def yields_after_close(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    try:
        while True:
            yield x, 1.0
    finally:
        yield x, 1.0


def raises_when_closed(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
    try:
        while True:
            yield x, 1.0
    finally:
        raise OSError("still busy")


STUBBORN = [(yields_after_close, "RuntimeError: generator ignored GeneratorExit"), (raises_when_closed, "OSError: still busy")]


@pytest.mark.parametrize(("sampler", "said"), STUBBORN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_sampler_that_does_not_end_when_it_is_given_up_fails_its_job(sampler: Callable[..., Any], said: str) -> None:
    def gives_up() -> Job:
        with Run(sampler(noise(1), SIGMAS), name="odd") as run:
            yield from drive(run, plain(REF, COND), 3)

    reference = Bench()
    reference.run(("good", simple(4)))
    bench = Bench()
    bench.run(("bad", gives_up()), ("good", simple(4)))
    error = bench.end("bad").error
    assert isinstance(error, SamplerFault)
    assert error.message == f"The sampler 'odd' did not end when it was closed ({said}), at step 4."
    assert error.details == {"sampler": "odd", "step": 4}
    assert torch.equal(bench.value("good"), reference.value("good"))


@pytest.mark.parametrize(("sampler", "said"), STUBBORN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_sampler_that_resists_cancelling_is_logged_and_let_go(
    sampler: Callable[..., Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    bench.start("a", sampled(sampler))
    for _ in range(4):
        bench.engine.turn()
    bench.engine.cancel("a")
    assert bench.end("a").state == "cancelled"
    assert f"The sampler 'odd' did not end when it was closed ({said}), at step 4." in caplog.text
    bench.run(("next", simple(4)))
    assert bench.end("next").state == "done"


def test_a_sampler_that_resists_does_not_hide_why_it_was_closed(caplog: pytest.LogCaptureFixture) -> None:
    def job() -> Job:
        with Run(yields_after_close(noise(1), SIGMAS), name="odd") as run:
            yield from drive(run, plain(REF, COND), 3)
            raise InvalidRequest("The score is odd.")

    bench = Bench()
    bench.run(("a", job()))
    assert isinstance(bench.end("a").error, InvalidRequest)
    assert "'odd' did not end" in caplog.text

    class Broken(ToyModel):
        def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
            return super().denoise(x, sigma, cond) * float("nan")

    broken = Bench(model=Broken(CARD))
    broken.run(("a", sampled(yields_after_close)))
    assert isinstance(broken.end("a").error, ModelError)
