"""The engine over a device that is not the samplers': levels, batching, replies, lost memory, global random numbers."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import torch
from tests.engine.toys import CARD, REF, SIGMAS, Bench, Inline, Job, OneModel, ToyModel, euler, noise, same, simple
from torch import Tensor

from gesso.device.residency import ModelPool
from gesso.engine import Engine, Hooks, drive, plain
from gesso.errors import LeakedState
from gesso.model import Conditioning, Model, ModelCard, Thrift

pytestmark = pytest.mark.gpu


class Placed(ToyModel):
    """The toy with its weights on the device. ``hungry``: forwards that ask for more memory than there is."""

    def __init__(self, device: torch.device, hungry: int = 0, draws: bool = False) -> None:
        super().__init__(CARD)
        self.device, self.hungry, self.draws = device, hungry, draws
        for network in (self.conv, self.mix, self.words):
            network.to(device)

    @property
    def nbytes(self) -> int:
        return sum(p.numel() * p.element_size() for network in (self.conv, self.mix, self.words) for p in network.parameters())

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        assert {x.device.type, sigma.device.type, cond.tokens.device.type} == {self.device.type}
        if self.hungry > 0:
            self.hungry -= 1
            torch.empty(1 << 46, dtype=torch.uint8, device=self.device)
        if self.draws:
            torch.randn(8, device=self.device)
        return super().denoise(x, sigma, cond)


class Pool(OneModel):
    """Holds that one model, on its device."""

    def __init__(self, model: Placed) -> None:
        super().__init__(model)
        self.device = model.device

    def make_room(self) -> int:
        super().make_room()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return 1


def bench_on(device: torch.device, **options: Any) -> Bench:
    bench = Bench()
    bench.model = Placed(device, **options)
    bench.models = Pool(bench.model)
    bench.engine = Engine(bench.models, Inline(), Hooks(lambda job, event: bench.events.append((job, event))))
    return bench


def pictures(bench: Bench, level: str, count: int = 6) -> list[Tensor]:
    bench.run(*((str(seed), simple(seed)) for seed in range(count)), level=level)
    return [bench.value(str(seed)) for seed in range(count)]


def test_exact_is_the_same_alone_and_in_a_crowd(device: torch.device) -> None:
    crowd = pictures(bench_on(device), "exact")
    for seed, picture in enumerate(crowd):
        alone = bench_on(device)
        alone.run((str(seed), simple(seed)))
        assert torch.equal(alone.value(str(seed)), picture)
        assert picture.device.type == "cpu"


def test_fast_shares_forwards_and_stays_near(device: torch.device) -> None:
    bench = bench_on(device)
    fast = pictures(bench, "fast", 12)
    assert max(bench.model.batches) > 2
    for near, picture in zip(fast, pictures(bench_on(device), "exact", 12), strict=True):
        torch.testing.assert_close(near, picture, rtol=0, atol=5e-3)  # convolutions may use TF32 there


def test_memory_that_is_lost_is_made_room_for_once(cuda: torch.device) -> None:
    bench = bench_on(cuda, hungry=1)
    bench.run(("a", simple(1)))
    expected = bench_on(cuda)
    expected.run(("a", simple(1)))
    assert torch.equal(bench.value("a"), expected.value("a"))
    assert bench.models.room == 1


def test_memory_that_stays_lost_ends_one_job_and_no_other(cuda: torch.device) -> None:
    bench = bench_on(cuda, hungry=2)
    bench.run(("a", simple(1)), ("b", simple(2)))
    assert bench.end("a").error is not None
    assert bench.end("a").error.code == "out_of_memory"
    assert bench.end("b").state == "done"


def test_what_a_forward_draws_is_put_back(cuda: torch.device) -> None:
    before = torch.cuda.get_rng_state(cuda)
    assert same(pictures(bench_on(cuda, draws=True), "exact", 2), pictures(bench_on(cuda), "exact", 2))
    assert torch.equal(torch.cuda.get_rng_state(cuda), before)


def test_a_sampler_that_draws_from_the_gpu_is_stopped(cuda: torch.device) -> None:
    def drawing(x: Tensor, sigmas: list[float]) -> Generator[Any, Any, Tensor]:
        reply = yield x, sigmas[0]
        torch.randn(3, device=cuda)
        yield x, sigmas[1]
        return reply.denoised

    def job() -> Job:
        return (yield from drive(drawing(noise(1), SIGMAS), plain(REF, Conditioning(torch.ones(1, 3, 8)))))

    bench = bench_on(cuda)
    bench.run(("bad", job()), ("good", simple(3)))
    error = bench.end("bad").error
    assert isinstance(error, LeakedState)
    assert "the GPU's global random numbers" in error.message
    assert bench.end("good").state == "done"


def test_a_dropped_model_gives_its_memory_back(cuda: torch.device) -> None:
    class Shelf:
        def card(self, name: str) -> ModelCard:
            return CARD

        def load(self, card: ModelCard, on: torch.device, thrift: Thrift) -> Model:
            model: Any = Placed(on)
            model.ballast = torch.zeros(64 << 20, dtype=torch.uint8, device=on)
            return model  # type: ignore[no-any-return]

    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(cuda)
    pool = ModelPool(Shelf(), cuda)
    with pool.using(REF):
        assert torch.cuda.memory_allocated(cuda) >= before + (64 << 20)
    pool.make_room()
    assert torch.cuda.memory_allocated(cuda) <= before + (1 << 20)


def test_a_cancelled_job_leaves_the_next_untouched(device: torch.device) -> None:
    (expected,) = pictures(bench_on(device), "exact", 1)
    bench = bench_on(device)
    bench.start("victim", simple(5, sampler=euler))
    for _ in range(3):
        bench.engine.turn()
    bench.engine.cancel("victim")
    assert torch.equal(pictures(bench, "exact", 1)[0], expected)
    assert bench.end("victim").state == "cancelled"
