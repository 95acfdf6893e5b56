"""Masks keep the mask, fade outwards and end; a composite leaves every pixel beyond them as it was, to the byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso.media.colour import Gamma, Linear, Srgb
from gesso.media.working import multiplied, to_depth, to_float
from gesso_plugins.edit.composite import composite
from gesso_plugins.edit.geometry import Margins
from gesso_plugins.edit.masks import faded


def disc(size: int = 64, radius: float = 10, soft: float = 0.0) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[:size, :size] - size / 2
    distance = np.hypot(x, y)
    return np.clip((radius - distance) / max(soft, 1e-6) + 0.5, 0, 1).astype(np.float32)


@given(st.integers(0, 8), st.integers(0, 16), st.floats(2, 20), st.floats(0, 6))
def test_masks_contain_one_another_and_end(grow: int, feather: int, radius: float, soft: float) -> None:
    margins = Margins(grow, feather, min(12, grow + feather))
    mask = disc(radius=radius, soft=soft)
    change, shown = faded(mask, margins)
    assert (change >= mask).all()
    assert (shown >= mask - 1e-6).all()
    y, x = np.mgrid[:64, :64] - 32
    assert (change[np.hypot(x, y) > radius + soft + 1.5 * grow + feather + 2] == 0).all()
    assert (shown[np.hypot(x, y) > radius + soft + margins.blend + 2] == 0).all()
    assert ((shown > 0) <= (change > 0)).all() or margins.blend > margins.reach


def test_masks_at_the_edge_of_the_canvas_and_all_over_it() -> None:
    corner = np.zeros((40, 60), np.float32)
    corner[:5, :7] = 1
    for mask in (corner, corner * np.float32(0.5)):
        change, shown = faded(mask, Margins(3, 10, 6))
        assert change[0, 0] == mask[0, 0] == shown[0, 0]
        assert change[30, 40] == shown[30, 40] == 0
        assert change[7, 0] == mask[0, 0], "grown"
        assert 0 < change[0, 16] < change[0, 12]
        assert 0 < shown[0, 12] < shown[0, 8] < mask[0, 0]
    whole = np.ones((8, 8), np.float32)
    assert all((each == 1).all() for each in faded(whole, Margins(2, 8, 6)))
    sharp = faded(corner, Margins(0, 0, 0))
    assert all(np.array_equal(each, corner) for each in sharp)


def test_the_composite_takes_the_result_where_the_mask_is_full() -> None:
    assert (faded(disc(), Margins(2, 8, 6))[1][disc() == 1] == 1).all()


DEPTHS = ("uint8", "uint16", "float16", "float32")


def picture(dtype: str, channels: int) -> npt.NDArray[Any]:
    values = np.random.default_rng(5).random((64, 64, channels))
    values[:8, :, -1] = 0
    if dtype.startswith("uint"):
        return (values * np.iinfo(dtype).max).astype(dtype)
    return (values * 3 - 0.5).astype(dtype)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", DEPTHS)
def test_outside_the_mask_every_byte_stays(dtype: str, channels: int) -> None:
    below, above = picture(dtype, channels), np.random.default_rng(6).random((64, 64, channels)).astype(np.float32)
    mask = faded(disc(soft=4), Margins(2, 8, 8))[1]
    result = composite(below, above, mask, Srgb())
    assert result.dtype == below.dtype
    assert result[mask == 0].tobytes() == below[mask == 0].tobytes()
    full = mask == 1
    wanted = above[full] if dtype.startswith("f") else np.floor(above[full] * np.iinfo(dtype).max + 0.5)
    assert np.abs(result[full].astype(np.float64) - wanted).max() <= (2e-3 if dtype == "float16" else 1.0 if dtype == "uint16" else 1e-4)


def test_light_is_mixed_not_codes() -> None:
    black, white = np.zeros((1, 1, 3), np.uint8), np.ones((1, 1, 3), np.float32)
    half = np.full((1, 1), 0.5, np.float32)
    assert composite(black, white, half, Srgb())[0, 0, 0] == 188
    assert composite(black, white, half, Linear())[0, 0, 0] == 128


def test_what_is_transparent_does_not_bleed() -> None:
    below = np.array([[[255, 0, 0, 0]]], np.uint8)
    above = np.array([[[0, 1, 0, 1]]], np.float32)
    mixed = composite(below, above, np.full((1, 1), 0.25, np.float32), Srgb())
    assert mixed[0, 0].tolist() == [0, 255, 0, 64]


def test_mixing_by_hand() -> None:
    """Premultiplied, in light: half of an opaque white over a quarter of black, and the other way round."""
    white, black = np.array([[[1, 1, 1, 1.0]]]), np.array([[[0, 0, 0, 0.25]]])
    for below, above in ((black, white), (white, black)):
        made = composite(below.astype(np.float32), above.astype(np.float32), np.full((1, 1), 0.5, np.float32), Linear())[0, 0]
        assert made == pytest.approx([0.8, 0.8, 0.8, 0.625])


def test_where_nothing_is_left_the_colour_is_the_result_s() -> None:
    below, above = np.array([[[0.9, 0.1, 0.1, 0]]], np.float32), np.array([[[0.2, 0.4, 0.6, 0]]], np.float32)
    assert composite(below, above, np.full((1, 1), 0.5, np.float32), Srgb())[0, 0] == pytest.approx([0.2, 0.4, 0.6, 0])


def test_whole_numbers_are_rounded_and_cut_and_the_picture_is_left_alone() -> None:
    below = np.zeros((1, 3, 3), np.uint8)
    above = np.array([[[1.4] * 3, [-0.4] * 3, [0.6 / 255] * 3]], np.float32)
    made = composite(below, above, np.ones((1, 3), np.float32), Linear())
    assert made[0, :, 0].tolist() == [255, 0, 1]
    assert below.max() == 0


@pytest.mark.parametrize("curve", [Srgb(), Linear(), Gamma(2.2)])
def test_curves_are_inverses_also_beyond_one(curve: Any) -> None:
    values = np.linspace(-1, 8, 1001)
    assert np.abs(curve.from_linear(curve.to_linear(values)) - values).max() < 1e-6


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
def test_what_is_multiplied_with_its_alpha_is_mixed_as_what_is_not(dtype: str) -> None:
    """The same picture in both sorts, laid over by the same mask, is the same picture again; alpha 0, partial and 1."""
    rng = np.random.default_rng(9)
    plain = rng.uniform(0.2, 0.8, (12, 10, 4)).astype(np.float32)
    plain[:4, :, 3], plain[4:8, :, 3] = 0, 1
    made = np.concatenate([rng.uniform(0, 1, (12, 10, 3)), np.ones((12, 10, 1))], 2).astype(np.float32)
    mask = np.linspace(0, 1, 10, dtype=np.float32)[None].repeat(12, 0)
    curve = Srgb() if dtype == "uint16" else Linear()
    stored = to_depth(multiplied(plain), np.dtype(dtype))
    expected = multiplied(to_float(composite(to_depth(plain, np.dtype(dtype)), made, mask, curve)))
    result = composite(stored, made, mask, curve, associated=True)
    assert np.array_equal(result[mask == 0], stored[mask == 0])
    assert np.abs(to_float(result) - expected)[mask > 0].max() < (2e-3 if dtype == "float16" else 2e-4)
