"""A `Wait` costs nobody but who waits: it takes no place on the thread pool, and a sampler may wait between its requests."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import torch
from tests.engine.toys import SIGMAS, Bench, euler, noise, threads

from gesso.engine import All, Denoised, Host, Run, Wait, drive


def half(x: torch.Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
    yield from ()
    return Denoised(x / 2, x / 2, (x / 2,))


def test_more_waits_than_threads_leave_the_pool_to_who_computes() -> None:
    """Twenty wait for what only the host function of another job lets happen."""
    bench, happened = Bench(pool=threads()), threading.Event()

    def waiting() -> Generator[Any, Any, Any]:
        return (yield All(*(Wait(happened.wait, (60.0,)) for _ in range(20))))

    def working() -> Generator[Any, Any, Any]:
        yield Host(happened.set)

    bench.run(("waits", waiting()), ("works", working()))
    assert bench.value("waits") == (True,) * 20


def test_a_wait_that_nobody_wants_any_more_holds_nothing_up() -> None:
    bench, never = Bench(pool=threads()), threading.Event()

    def waiting() -> Generator[Any, Any, Any]:
        yield Wait(never.wait, (60.0,))

    bench.start("waits", waiting())
    bench.engine.turn()
    bench.engine.cancel("waits")
    bench.start("works", iter_value(3))
    while "works" in bench.engine.jobs:
        bench.engine.turn()
    assert bench.value("works") == 3
    assert bench.end("waits").state == "cancelled"
    never.set()


def iter_value(value: int) -> Generator[Any, Any, int]:
    return (yield Host(int, (value,)))


def hesitating(x: torch.Tensor, sigmas: list[float]) -> Generator[Any, Any, torch.Tensor]:
    """Euler that waits before each request and before its end, as one in another process may."""
    inner = euler(x, sigmas)
    reply: Any = None
    while True:
        assert (yield Wait(str, (7,))) == "7"
        try:
            asked = inner.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        reply = yield asked


def test_a_sampler_that_waits_makes_the_same_picture() -> None:
    bench, x = Bench(), noise(1) * SIGMAS[0]
    bench.run(("plain", drive(euler(x, SIGMAS), half)), ("waits", drive(hesitating(x, SIGMAS), half)))
    assert torch.equal(bench.value("waits"), bench.value("plain"))
    run = Run(hesitating(x, SIGMAS))
    while not run.done:
        asked, _ = run.request()
        run.answer(Denoised(asked / 2, asked / 2, (asked / 2,)))
    assert torch.equal(run.x, bench.value("plain"))
    assert run.evaluations == len(SIGMAS) - 1
