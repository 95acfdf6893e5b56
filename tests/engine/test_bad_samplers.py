"""Samplers that misbehave: each is named with its step, ends its own job, and is closed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from tests.engine.toys import REF, SIGMAS, Bench, noise, simple
from torch import Tensor

from gesso.engine import Job, Run, drive, plain
from gesso.errors import SamplerFault, TooManyEvaluations
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

    bench = Bench()
    bench.run(("a", sampled(endless, cap=25)))
    end = bench.end("a")
    assert isinstance(end.error, TooManyEvaluations)
    assert end.evaluations == 26
    capped = Bench()
    capped.run(("a", sampled(endless, cap=10_000)), evaluations=7)
    assert isinstance(capped.end("a").error, TooManyEvaluations)


def test_a_sampler_that_yields_after_close_is_logged_and_let_go(caplog: pytest.LogCaptureFixture) -> None:
    def stubborn(x: Tensor, sigmas: Sequence[float]) -> Iterator[Any]:
        try:
            while True:
                yield x, 1.0
        finally:
            yield x, 1.0

    bench = Bench()
    bench.start("a", sampled(stubborn))
    for _ in range(4):
        bench.engine.turn()
    bench.engine.cancel("a")
    assert bench.end("a").state == "cancelled"
    assert "'odd' failed while it was closed" in caplog.text
