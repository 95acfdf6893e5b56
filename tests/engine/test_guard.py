"""Every kind of leaked ambient state is found, fails the guilty job only, and is put back."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.toys import REF, SIGMAS, Bench, Job, euler, noise, simple, threads
from torch import Tensor

from gesso.engine import Denoised, Host, drive, plain
from gesso.engine.guard import Ambient
from gesso.errors import LeakedState
from gesso.model import Conditioning

Leak = Callable[[], object]


def grad() -> object:
    torch.set_grad_enabled(True)
    return None


def held_grad() -> object:
    context: Any = torch.enable_grad()
    context.__enter__()
    return context


def inference() -> object:
    context: Any = torch.inference_mode()
    context.__enter__()
    return context


def autocast() -> object:
    context: Any = torch.autocast("cpu")
    context.__enter__()
    return context


def default_dtype() -> object:
    torch.set_default_dtype(torch.float64)
    return None


def default_device() -> object:
    torch.set_default_device("meta")
    return None


def device_context() -> object:
    context = torch.device("meta")
    context.__enter__()
    return context


def torch_numbers() -> object:
    return torch.randn(3)


def torch_seed() -> object:
    return torch.manual_seed(5)


def numpy_numbers() -> object:
    return np.random.rand()


def python_numbers() -> object:
    return random.random()


def python_seed() -> object:
    random.seed(3)
    return None


def thread_count() -> object:
    torch.set_num_threads(2)
    return None


def deterministic() -> object:
    torch.use_deterministic_algorithms(True)
    return None


def kernels() -> object:
    torch.backends.mkldnn.set_flags(False)
    return None


LEAKS = [
    grad,
    held_grad,
    inference,
    autocast,
    default_dtype,
    default_device,
    device_context,
    torch_numbers,
    torch_seed,
    numpy_numbers,
    python_numbers,
    python_seed,
    thread_count,
    deterministic,
    kernels,
]


def leaking(leak: Leak, *, after: int) -> Job:
    """A sampler that leaks at one of its steps."""

    def sampler(x: Tensor, sigmas: list[float]) -> Generator[Any, Any, Tensor]:
        kept: object = None  # a context stays open as long as somebody holds it
        for step, sigma in enumerate(sigmas[:-1]):
            if step == after:
                kept = leak()
            x = (yield x, sigma).denoised
        return x if kept is None else x * 1.0

    def job() -> Job:
        denoiser = plain(REF, Conditioning(torch.zeros(1, 3, 8)))
        return (yield from drive(sampler(noise(1), SIGMAS), denoiser))

    return job()


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
@pytest.mark.parametrize("after", [0, 2])
def test_a_leak_fails_its_job_and_is_undone(leak: Leak, after: int) -> None:
    reference = Bench()
    reference.run(("good", simple(4)))
    bench = Bench()
    before = Ambient()
    bench.start("bad", leaking(leak, after=after))
    bench.start("good", simple(4))
    bench.engine.run()
    error = bench.end("bad").error
    assert isinstance(error, LeakedState)
    assert error.details["leaks"]
    assert error.details["plugin"] == "toys"
    assert torch.equal(bench.value("good"), reference.value("good"))
    with before.within():
        assert before.leaks() == []
    assert torch.zeros(1).dtype == torch.float32


def test_the_engine_runs_generators_without_gradients() -> None:
    seen: list[bool] = []

    def job() -> Job:
        seen.append(torch.is_grad_enabled())
        yield Host(len, ((),))
        seen.append(torch.is_grad_enabled())
        return ()

    bench = Bench()
    bench.run(("a", job()))
    assert seen == [False, False]
    assert torch.is_grad_enabled()


def test_contexts_closed_before_the_yield_are_no_leak() -> None:
    def job() -> Job:
        with torch.enable_grad():
            x = torch.ones(3, requires_grad=True)
            (gradient,) = torch.autograd.grad((x**2).sum(), x)
        yield Host(len, ((),))
        return gradient

    bench = Bench()
    bench.run(("a", job()))
    assert bench.value("a").tolist() == [2.0, 2.0, 2.0]


def test_a_host_function_that_draws_global_numbers_blames_nobody() -> None:
    bench = Bench(pool=threads())
    before = Ambient()
    bench.start("host", hosting())
    bench.start("good", simple(4, sampler=euler))
    bench.engine.run()
    assert bench.end("host").state == "done"
    with before.within():
        assert before.leaks() == []
    reference = Bench()
    reference.run(("good", simple(4)))
    assert torch.equal(bench.value("good"), reference.value("good"))


def hosting() -> Job:
    for _ in range(5):
        yield Host(torch.randn, (3,))
    return ()


def test_a_leak_while_closing_is_undone() -> None:
    def job() -> Job:
        try:
            yield from simple(1)
        finally:
            torch.set_default_dtype(torch.float64)

    bench = Bench()
    bench.start("a", job())
    for _ in range(4):
        bench.engine.turn()
    bench.engine.cancel("a")
    assert torch.get_default_dtype() == torch.float32
    assert bench.end("a").state == "cancelled"


def test_a_model_that_draws_global_numbers_gives_the_same_bits_every_time() -> None:
    class Noisy:
        def __init__(self) -> None:
            self.inner = Bench().model
            self.card = self.inner.card
            self.parametrisation = self.inner.parametrisation

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
            result: Tensor = self.inner.denoise(x, sigma, cond) + torch.randn(x.shape)
            return result

    def job() -> Job:
        reply: Denoised = yield from plain(REF, Conditioning(torch.zeros(1, 3, 8)))(noise(1), 1.0)
        return reply.denoised

    bench = Bench(model=Noisy())
    bench.run(("a", job()), ("b", job()))
    assert torch.equal(bench.value("a"), bench.value("b"))
