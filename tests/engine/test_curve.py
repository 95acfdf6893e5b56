"""`bench/curve.py`: each count of rows is a forward of so many jobs, the knee is the engine's own, the curve ends where the memory does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from bench.curve import ROWS, Curve, document, measure
from torch import Tensor

from gesso.model import Conditioning, Latent

from .test_batching import COMPUTE_BOUND, LAUNCH_BOUND
from .toys import CARD, FLOATS, OneModel, ToyModel

DENOISING = replace(CARD, parametrisation=FLOATS, latent=Latent(4, 2))
TAKES = 2


class Timed(ToyModel):
    """Forwards that take so many seconds by their rows, and more rows than ``most`` do not fit."""

    def __init__(self, seconds: Mapping[int, float], most: int = 64) -> None:
        super().__init__(DENOISING)
        self.now, self._seconds, self._most = 0.0, seconds, most

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        if len(x) > self._most:
            raise torch.OutOfMemoryError("there is no more")
        self.now += self._seconds[len(x)]
        return super().denoise(x, sigma, cond)


def curve_of(model: Timed) -> Curve:
    return measure(OneModel(model), DENOISING, 16, ROWS, TAKES, lambda: model.now)


def test_each_count_is_measured_with_so_many_jobs_in_a_forward() -> None:
    """Fails where jobs are not gathered, or where another count's time is taken."""
    model = Timed(LAUNCH_BOUND)
    curve = curve_of(model)
    assert list(curve.seconds) == list(ROWS)
    assert curve.seconds == pytest.approx(LAUNCH_BOUND)
    assert [rows for rows in dict.fromkeys(model.batches) if rows > 0] == list(ROWS)
    assert min(model.batches.count(rows) for rows in ROWS) >= TAKES
    told = document(curve)["rows"]["8"]
    assert (told["forward_ms"], told["rows_per_s"]) == (1300.0, 6.154)


@pytest.mark.parametrize(("seconds", "knee"), [(LAUNCH_BOUND, 8), (COMPUTE_BOUND, 1)])
def test_the_knee_is_where_the_engine_would_stop(seconds: Mapping[int, float], knee: int) -> None:
    """Fails where the knee is that of a measurement of the benchmark's own."""
    assert curve_of(Timed(seconds)).knee == knee


def test_a_curve_ends_with_the_memory_and_says_so() -> None:
    """Fails where the rows that did not fit are in the curve, or nothing is said."""
    curve = curve_of(Timed(dict.fromkeys(ROWS, 1.0), most=16))
    assert list(curve.seconds) == [1, 2, 4, 8, 16]
    assert curve.ended == "A forward of 32 rows did not fit into memory."
    assert curve.knee == 16
    assert document(curve)["ended"] == curve.ended
