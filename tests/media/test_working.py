"""Samples between depths and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from gesso.media.working import enlarged, resized, to_depth, to_float


@pytest.mark.parametrize("part", [(0, 0, 90, 70), (11, 7, 52, 70), (89, 0, 90, 1)])
def test_a_part_of_an_enlarged_picture_is_that_part(part: tuple[int, int, int, int]) -> None:
    picture = np.random.default_rng(1).random((31, 43, 3), np.float32)
    left, top, right, bottom = part
    assert np.allclose(enlarged(picture, (90, 70), part), resized(picture, (90, 70))[top:bottom, left:right], atol=2e-6)


@pytest.mark.parametrize("depth", ["uint8", "uint16"])
def test_whole_numbers_are_rounded_and_cut(depth: str) -> None:
    most = np.iinfo(depth).max
    every = np.arange(most + 1, dtype=depth)
    assert np.array_equal(to_depth(to_float(every), every.dtype), every)
    given = np.array([-0.5, -1e-9, 0.49 / most, 0.51 / most, 1.0, 1 + 0.4 / most, 7.0], np.float32)
    kept = given.copy()
    assert to_depth(given, every.dtype).tolist() == [0, 0, 0, 1, most, most, most]
    assert np.array_equal(given, kept)
