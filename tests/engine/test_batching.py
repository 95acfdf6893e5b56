"""Keys, stacking, and the knee."""

from __future__ import annotations

import pytest
import torch
from tests.engine.toys import REF, Bench, noise
from torch import Tensor

from gesso.engine import Decode, Denoise, EncodeText, Host, Job, ModelRef
from gesso.engine.batching import Knee, Stacked, key_of, rows_of, stack
from gesso.engine.calls import Call
from gesso.model import Conditioning, Control, Seamless

NUMBERS = torch.Generator().manual_seed(1)


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=NUMBERS)


def cond(length: int = 3, *, pooled: bool = False) -> Conditioning:
    return Conditioning(numbers(1, length, 8), numbers(1, 5) if pooled else None, {"ids": numbers(1, 6)} if pooled else {})


def denoise(**changes: object) -> Denoise:
    fields: dict[str, object] = {"model": REF, "x": noise(1), "sigma": 1.0, "conds": (cond(),)}
    return Denoise(**{**fields, **changes})  # type: ignore[arg-type]


def test_sigma_values_and_prompts_do_not_part_calls() -> None:
    assert key_of(denoise()) == key_of(denoise(sigma=0.1, x=noise(2), conds=(cond(), cond())))


@pytest.mark.parametrize(
    "other",
    [
        denoise(model=ModelRef("toy", "other")),
        denoise(x=noise(1, 16)),
        denoise(x=noise(1).double()),
        denoise(conds=(cond(4),)),
        denoise(conds=(cond(pooled=True),)),
        denoise(patches=(Seamless(True, True),)),
        denoise(controls=(Control(ModelRef("edges", "e"), noise(3)),)),
        Decode(REF, noise(1)),
        EncodeText(REF, ("x",)),
    ],
)
def test_what_parts_calls(other: Call) -> None:
    assert key_of(other) != key_of(denoise())


def test_the_order_of_patches_counts() -> None:
    one, two = Seamless(True, False), Seamless(False, True)
    assert key_of(denoise(patches=(one, two))) != key_of(denoise(patches=(two, one)))


def test_the_same_rows_are_stacked_once() -> None:
    stacked, one, two = Stacked(most=2), numbers(1, 3), numbers(1, 3)
    both = stacked.of([one, two], torch.device("cpu"))
    assert torch.equal(both, torch.cat([one, two]))
    assert stacked.of([one, two], torch.device("cpu")) is both
    assert torch.equal(stacked.of([two, one], torch.device("cpu")), torch.cat([two, one]))
    assert stacked.of([one.clone(), two], torch.device("cpu")) is not both
    assert stacked.of([one, two], torch.device("cpu")) is not both  # two others came since


def test_rows() -> None:
    assert rows_of(denoise(conds=(cond(), cond()))) == 2
    assert rows_of(EncodeText(REF, ("a", "b", "c"))) == 3
    assert rows_of(Host(len)) == 1


def test_stacking_keeps_every_row() -> None:
    rows = [cond(pooled=True) for _ in range(3)]
    stacked = stack(rows)
    assert stacked.layout()[0] == (3, 3, 8)
    for i, row in enumerate(rows):
        assert torch.equal(stacked.tokens[i : i + 1], row.tokens)
        assert stacked.pooled is not None
        assert row.pooled is not None
        assert torch.equal(stacked.pooled[i : i + 1], row.pooled)
        assert torch.equal(stacked.extras["ids"][i : i + 1], row.extras["ids"])
    assert stack(rows[:1]) is rows[0]


def test_conditionings_of_two_layouts_in_one_call_take_two_forwards_in_order() -> None:
    bench = Bench()
    conds = (cond(3), cond(6), cond(3))

    def job() -> Job:
        together = yield denoise(conds=conds)
        apart = []
        for one in conds:
            apart.append((yield denoise(conds=(one,))))
        return together, apart

    bench.run(("a", job()))
    together, apart = bench.value("a")
    assert bench.model.batches == [2, 1, 1, 1, 1]
    for one, prediction in zip(apart, together.predictions, strict=True):
        torch.testing.assert_close(prediction, one.denoised)
    assert together.denoised is together.predictions[0]
    assert together.uncond is together.predictions[-1]


def climb(seconds: dict[int, float], *, call_rows: int = 1, forwards: int = 60) -> list[int]:
    """The row counts of forwards on a device that takes so many seconds per rung, when there is always enough to gather."""
    knee, taken = Knee(), []
    for _ in range(forwards):
        rows = call_rows
        while rows < knee.limit(("k",)):
            rows += call_rows
        rung = 1 << (rows.bit_length() - 1)
        knee.record(("k",), rows, seconds[rung] * rows / rung)
        taken.append(rows)
    return taken


LAUNCH_BOUND = {1: 1.0, 2: 1.05, 4: 1.1, 8: 1.3, 16: 2.6, 32: 5.2, 64: 10.4}
COMPUTE_BOUND = {1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0, 16: 16.0, 32: 32.0, 64: 64.0}


def test_the_knee_climbs_while_rows_get_cheaper() -> None:
    taken = climb(LAUNCH_BOUND)
    assert taken[:3] == [1, 1, 1]
    assert taken[-1] == 8
    assert max(taken) == 16


def test_a_machine_that_gains_nothing_stays_where_it_is() -> None:
    assert climb(COMPUTE_BOUND)[-1] == 1
    assert max(climb(COMPUTE_BOUND)) == 2


def test_guided_calls_climb_from_two_rows() -> None:
    taken = climb(LAUNCH_BOUND, call_rows=2)
    assert taken[0] == 2
    assert taken[-1] == 8


def test_the_knee_is_tried_again_now_and_then() -> None:
    taken = climb(COMPUTE_BOUND, forwards=300)
    assert taken[255] == 2
    assert taken[254] == taken[257] == 1


def test_keys_have_knees_of_their_own_and_memory_lowers_them() -> None:
    knee = Knee()
    for _ in range(3):
        knee.record(("a",), 1, 1.0)
    assert knee.limit(("a",)) == 2
    assert knee.limit(("b",)) == 1
    for rows in (2, 4, 8):
        for _ in range(3):
            knee.record(("a",), rows, 1.0)
    assert knee.limit(("a",)) == 16
    knee.lower(("a",), 8)
    assert knee.limit(("a",)) == 4
