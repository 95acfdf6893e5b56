"""Making a picture wrap with pieces of itself: the border becomes like any other place, the light is evened, axes not asked for stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso.media.seam import seams
from gesso.media.working import resized
from gesso_plugins.texture import quilting
from gesso_plugins.texture.surroundings import padded

Picture = quilting.Pixels


def stones(height: int, width: int, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    grey = 0.5 + 0.25 * np.sin(x / 4.1 + 2 * np.sin(y / 9)) * np.cos(y / 5.3) + rng.normal(0, 0.03, (height, width))
    return np.clip(grey[..., None] * np.array([1.0, 0.9, 0.7]), 0, 1).astype(np.float32)


@pytest.mark.parametrize("tile", ["x", "y", "xy"])
def test_the_seam_goes(tile: str) -> None:
    light = np.linspace(0.6, 1.2, 150, dtype=np.float32)[None, :, None] * np.linspace(1, 0.7, 120, dtype=np.float32)[:, None, None]
    picture = np.clip(stones(120, 150) * light, 0, 1)
    made = quilting.repaired(picture, tile)
    for axis, fit in seams(made, tile).items():
        assert fit["ratio"] < 1.25 < seams(picture, axis)[axis]["ratio"]


def test_the_middle_is_the_pictures_own() -> None:
    picture = stones(96, 96)
    made = quilting.repaired(picture, "xy")
    middle = (slice(30, 66), slice(30, 66))
    assert np.abs(made[middle] - picture[middle]).max() < 0.05


def test_light_that_falls_off_is_evened() -> None:
    slope = np.broadcast_to(np.linspace(0.3, 0.7, 128, dtype=np.float32)[None, :, None], (96, 128, 3)).copy()
    even = quilting._evened(slope, closed=False)
    assert abs(float(even[:, :8].mean() - even[:, -8:].mean())) < 0.1 * 0.4
    assert abs(float(even.mean() - slope.mean())) < 1e-3


@given(st.integers(3, 20), st.integers(2, 9), st.integers(0, 10_000))
def test_a_cut_is_a_path_and_closes_where_asked(rows: int, columns: int, seed: int) -> None:
    error = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    for closed in (False, True):
        path = quilting.cut(error, closed=closed)
        assert ((path >= 0) & (path < columns)).all()
        assert np.abs(np.diff(path)).max() <= 1
        if closed:
            assert abs(int(path[0]) - int(path[-1])) <= 1


def test_the_cut_is_the_cheapest_path() -> None:
    error = np.ones((6, 5), np.float32)
    way = [1, 2, 3, 3, 2, 2]
    error[np.arange(6), way] = 0
    assert quilting.cut(error, closed=False).tolist() == way


@given(st.integers(5, 30), st.integers(5, 30), st.integers(4, 40), st.integers(4, 40))
def test_another_size_of_a_tile_is_a_tile(height: int, width: int, rows: int, columns: int) -> None:
    tile = np.random.default_rng(height * 31 + width).random((height, width, 2)).astype(np.float32)
    made = resized(tile, (columns, rows), "xy")
    assert made.shape == (rows, columns, 2)
    thrice = resized(padded(tile, (height, height, width, width), "xy"), (3 * columns, 3 * rows), "xy")
    assert np.abs(thrice[rows : 2 * rows, columns : 2 * columns] - made).max() < 2e-3
