"""Threads and kernels adapt in `fast` to what is measured, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.engine.toys import CARD, Bench, ToyModel, everything, same, simple
from torch import Tensor

from gesso.engine.kernels import Choice, Kernels, choices
from gesso.model import Conditioning

OWN, LESS, NATIVE = Choice(2, True), Choice(1, True), Choice(2, False)
KEY = ("Denoise", "m")


def played(kernels: Kernels, forwards: int, seconds: Callable[[Choice], float]) -> list[Choice]:
    """What is chosen in so many forwards."""
    chosen = []
    for _ in range(forwards):
        choice = kernels.pick(KEY, 2)
        kernels.record(KEY, 2, choice, seconds(choice))
        chosen.append(choice)
    return chosen


def test_every_choice_is_measured_and_the_fastest_taken() -> None:
    kernels = Kernels([OWN, LESS, NATIVE])
    chosen = played(kernels, 60, {OWN: 1.0, LESS: 0.7, NATIVE: 1.1}.__getitem__)
    assert chosen[:9] == [OWN] * 3 + [LESS, NATIVE] * 3
    assert chosen[9:31] == [LESS] * 22
    assert chosen[9:].count(LESS) >= 49  # one in 32 tries another


def test_the_worker_s_own_choice_stays_unless_another_is_clearly_faster() -> None:
    assert played(Kernels([OWN, LESS]), 30, {OWN: 1.0, LESS: 0.95}.__getitem__)[6:] == [OWN] * 24


def test_what_is_hopeless_is_tried_once() -> None:
    assert played(Kernels([OWN, LESS]), 20, {OWN: 1.0, LESS: 10.0}.__getitem__).count(LESS) == 1


def test_it_follows_the_load() -> None:
    kernels = Kernels([OWN, LESS])
    assert played(kernels, 30, {OWN: 1.0, LESS: 2.0}.__getitem__)[-1] == OWN
    later = played(kernels, 400, {OWN: 12.0, LESS: 2.0}.__getitem__)  # another program takes the second core
    assert later[-1] == LESS
    assert later.count(OWN) < 60
    assert played(kernels, 400, {OWN: 1.0, LESS: 2.0}.__getitem__).count(OWN) > 200


def test_keys_and_row_counts_are_told_apart() -> None:
    kernels = Kernels([OWN, NATIVE])
    played(kernels, 20, {OWN: 1.0, NATIVE: 0.1}.__getitem__)
    assert kernels.pick(KEY, 2) == NATIVE
    assert kernels.pick(KEY, 4) == OWN
    assert kernels.settled(KEY, 4, OWN)
    assert not kernels.settled(KEY, 4, NATIVE)
    assert kernels.settled(KEY, 2, NATIVE)


def test_an_accelerator_has_nothing_to_choose() -> None:
    assert len(choices(torch.device("cuda"), (1, 8))) == 1
    found = choices(torch.device("cpu"), (1, 3))
    assert found[0] == Choice(torch.get_num_threads(), torch._C._get_mkldnn_enabled())
    assert {choice.threads for choice in found} == {torch.get_num_threads(), 1, 3}


class Watching(ToyModel):
    """Notes what its forwards are computed with."""

    seen: list[Choice]

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        self.seen.append(Choice(torch.get_num_threads(), torch._C._get_mkldnn_enabled()))
        return super().denoise(x, sigma, cond)


@pytest.mark.parametrize("level", ["exact", "fast"])
def test_only_fast_tries_others(level: str) -> None:
    model = Watching(CARD)
    model.seen = []
    own = Choice(torch.get_num_threads(), torch._C._get_mkldnn_enabled())
    bench = Bench(model=model, threads=(3,))
    bench.run(*((str(seed), simple(seed)) for seed in range(6)), level=level)
    assert (set(model.seen) == {own}) == (level == "exact")
    assert Choice(torch.get_num_threads(), torch._C._get_mkldnn_enabled()) == own


def test_a_fast_neighbour_that_tries_changes_no_bit_of_an_exact_job() -> None:
    reference = Bench()
    reference.run(("exact", everything(1)))
    expected = reference.value("exact")
    bench = Bench(threads=(3,))
    for seed in range(5):
        bench.start(f"fast {seed}", simple(seed), level="fast")
    bench.start("exact", everything(1))
    bench.engine.run()
    assert same(bench.value("exact"), expected)
