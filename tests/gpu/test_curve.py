"""`bench/curve.py` on the device: the starter's curve, in the device's own number format, and a count of rows that cannot fit."""

from __future__ import annotations

import time

import pytest
import torch
from bench.curve import measure, placed

from gesso.device.environment import environment

pytestmark = pytest.mark.gpu


def test_a_curve_is_measured_where_the_weights_are(device: torch.device) -> None:
    """Fails where rows stay on the CPU, or the knee is of rows that were not measured."""
    with placed("starter", device) as (pool, card):
        curve = measure(pool, card, 64, (1, 2, 4), 2, time.perf_counter)
        assert list(pool.resident) == ["starter"]
    assert list(curve.seconds) == [1, 2, 4]
    assert all(seconds > 0 for seconds in curve.seconds.values())
    assert curve.knee in (1, 2, 4)
    assert environment(device)["device"] == device.type


def test_a_curve_ends_where_the_memory_does(cuda: torch.device) -> None:
    """Fails where a forward that does not fit ends the benchmark, or leaves the device unusable."""
    free, _ = torch.cuda.mem_get_info(cuda)
    with placed("starter", cuda) as (pool, card):
        small = measure(pool, card, 64, (1,), 1, time.perf_counter)
        ballast = torch.empty(free - (1 << 30), dtype=torch.uint8, device=cuda)
        full = measure(pool, card, 4096, (1, 64), 1, time.perf_counter)
        del ballast
        torch.cuda.empty_cache()
        assert full.ended
        assert 64 not in full.seconds
        assert list(measure(pool, card, 64, (1,), 1, time.perf_counter).seconds) == list(small.seconds)
