"""Noise, cells, grids, stamps and routes: the primitives against slow, plain definitions of what they are."""

from __future__ import annotations

import numpy as np
import pytest

from gesso_plugins.procedural.arrays import Field, float32, mix, smoothstep, wrapped
from gesso_plugins.procedural.canvas import Canvas
from gesso_plugins.procedural.cells import jittered_points, worley
from gesso_plugins.procedural.grids import courses, half_bond, herringbone, random_bond
from gesso_plugins.procedural.noise import Spectrum, spectral_noise
from gesso_plugins.procedural.recipe import Recipe
from gesso_plugins.procedural.routes import STEPS, route
from gesso_plugins.procedural.stamps import stamps

UNIT = (1.0, 1.0)


def coordinates(size: int) -> tuple[Field, Field]:
    line = float32((np.arange(size) + 0.5) / size)
    return line[None, :], line[:, None]


@pytest.mark.parametrize("spectrum", [Spectrum(), Spectrum(2.0, 2.3), Spectrum(8.0, 0.5, 100.0, 4.0), Spectrum(3.0, 1.0, 60.0, 6.0, 0.7)])
def test_noise_has_mean_0_and_deviation_1(spectrum: Spectrum) -> None:
    field = spectral_noise(3, spectrum, 256, 256, UNIT)
    assert field.dtype == np.float32
    assert abs(float(field.mean())) < 1e-3
    assert float(field.std()) == pytest.approx(1.0, abs=0.08)


def test_noise_is_the_same_field_at_every_size() -> None:
    """What a small canvas can hold of it, it shows exactly as the large one does."""
    spectrum = Spectrum(2.0, 1.5, 24.0)
    small, large = (spectral_noise(3, spectrum, size, size, UNIT) for size in (64, 192))
    assert np.abs(large[1::3, 1::3] - small).max() < 1e-3


def test_noise_keeps_its_strength_when_the_canvas_cannot_hold_all_of_it() -> None:
    spectrum = Spectrum(2.0, 1.2)
    small, large = (np.fft.rfft2(spectral_noise(3, spectrum, size, size, UNIT), norm="forward") for size in (32, 256))
    small, large = np.abs(small[:8, :8]), np.abs(large[:8, :8])
    assert np.abs(small - large).mean() < 0.05 * large.mean()


def test_stretched_noise_changes_more_slowly_along_its_angle() -> None:
    field = spectral_noise(3, Spectrum(4.0, 1.0, 60.0, 6.0), 128, 128, UNIT)
    along, across = np.abs(np.diff(field, axis=1)).mean(), np.abs(np.diff(field, axis=0)).mean()
    assert along * 3.0 < across


def test_cells_agree_with_a_search_of_all_points() -> None:
    points = jittered_points(np.random.default_rng(5), 6, 5, 0.9, spacing=(1.0, 1.2))
    u, v = coordinates(40)
    cells = worley(points, u, v)
    columns, rows = np.meshgrid(np.arange(6), np.arange(5))
    x, y = (columns + points.x).ravel(), (rows + points.y).ravel()
    dx = (u * 6)[..., None] - x
    dy = (v * 5)[..., None] - y
    dx -= 6 * np.round(dx / 6)
    dy -= 5 * np.round(dy / 5)
    distance = np.sqrt(dx**2 + (dy * 1.2) ** 2)
    two = np.sort(distance, axis=2)[..., :2]
    assert np.mean(cells.ident == distance.argmin(axis=2)) > 0.995
    assert np.mean(np.abs(cells.nearest - two[..., 0]) < 1e-4) > 0.995
    assert np.mean(np.abs(cells.gap - (two[..., 1] - two[..., 0]) / 2.0) < 1e-4) > 0.97


def test_cells_are_the_same_whether_searched_in_one_block_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    points = jittered_points(np.random.default_rng(5), 6, 5, 0.9)
    u, v = coordinates(40)
    push = (np.full((40, 40), 0.2, np.float32), np.full((40, 40), -0.1, np.float32))
    whole = worley(points, u, v, push)
    monkeypatch.setattr("gesso_plugins.procedural.cells._BLOCK", 120)
    assert (worley(points, u, v, push).edge == whole.edge).all()


def test_blocks_of_uneven_length_cover_the_row() -> None:
    rng = np.random.default_rng(1)
    uneven = float32(rng.uniform(-0.4, 0.4, (4, 5)))
    blocks = courses(5, random_bond(rng, 4), UNIT, *coordinates(200), uneven)
    assert blocks.x.min() >= 0.0
    assert blocks.x.max() <= 1.0
    assert set(np.unique(blocks.ident)) == set(range(20))
    assert blocks.side_x.min() >= 0.0


def test_a_half_bond_of_an_odd_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="even number of rows, and 3 is odd"):
        half_bond(3)


def test_rounded_corners_cut_only_the_corners() -> None:
    blocks = courses(2, float32(np.zeros(2)), UNIT, *coordinates(64))
    plain, rounded = blocks.edge(), blocks.edge(0.1)
    assert rounded[0, 0] < 0.0 < plain[0, 0]
    assert rounded[0, 16] == pytest.approx(plain[0, 16])


def test_herringbone_blocks_are_all_of_one_size() -> None:
    blocks, upright = herringbone(8, 8, UNIT, *coordinates(64))
    counts = np.bincount(blocks.ident.ravel())
    assert set(counts[counts > 0]) == {2 * 8 * 8}
    assert 0.4 < upright.mean() < 0.6


def test_stamps_stay_inside_their_cells() -> None:
    mark = stamps(Canvas(Recipe("brick", "red"), 128, 128, 1), 6, 0.3)
    inside = (mark.distance < 1.0) & (mark.kept > 0.5)
    for ident in range(mark.count):
        ys, xs = np.nonzero(inside & (mark.ident == ident))
        assert len(ys) > 0
        span = max(np.ptp(xs), np.ptp(ys))
        assert span < 128 / 6 or span > 100  # a mark on the border shows on both sides


def test_linked_squares_link_back() -> None:
    routes = route(np.random.default_rng(2), 12, 9)
    for y, x in np.argwhere(routes.links):
        for heading, (right, down) in enumerate(STEPS):
            if routes.links[y, x] & (1 << heading):
                assert routes.links[(y + down) % 9, (x + right) % 12] & (1 << (heading ^ 1))


def test_pointwise_helpers() -> None:
    x = float32([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert smoothstep(0.0, 1.0, x).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert smoothstep(1.0, 0.0, x).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert wrapped(float32([-3.0, -1.0, 0.0, 2.0, 3.0, 299.0]), 3).tolist() == [0, 2, 0, 2, 0, 2]
    blend = mix(float32([0.0, 0.0, 0.0]), float32(np.ones((3, 2, 2))), float32([[0.25, 0.5]]))
    assert blend.shape == (3, 2, 2)
    assert blend[:, 0].tolist() == [[0.25, 0.5]] * 3
