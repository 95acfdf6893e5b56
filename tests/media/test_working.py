"""Samples between depths and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from gesso.media.documents import Document
from gesso.media.profile import LINEAR
from gesso.media.working import brightness, divided, enlarged, multiplied, resized, straight, to_depth, to_float, to_srgb


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


def test_a_document_is_seen_the_same_whether_its_colours_are_multiplied_or_not() -> None:
    rng = np.random.default_rng(2)
    plain = rng.uniform(0.1, 0.9, (6, 8, 4)).astype(np.float32)
    plain[0, :, 3], plain[1, :, 3] = 0, 1
    one = Document(plain, LINEAR, "tiff")
    other = Document(multiplied(plain), LINEAR, "exr", associated=True)
    assert np.abs(to_srgb(one, one.pixels) - to_srgb(other, other.pixels)).max() < 1e-6
    assert np.abs(brightness(one) - brightness(other)).max() < 1e-6
    again = straight(other)
    assert not again.associated
    assert straight(one) is one
    seen = plain[..., 3] > 0
    assert np.abs(again.pixels - plain)[seen].max() < 1e-6
    assert np.array_equal(again.pixels[~seen], other.pixels[~seen])


@pytest.mark.parametrize("depth", ["uint8", "uint16", "float16", "float32"])
def test_where_it_is_opaque_a_document_keeps_its_numbers(depth: str) -> None:
    pixels = to_depth(np.random.default_rng(3).random((5, 5, 4), np.float32), np.dtype(depth))
    pixels[..., 3] = to_depth(np.ones(1, np.float32), np.dtype(depth))
    assert np.array_equal(divided(pixels), pixels)
    assert np.array_equal(multiplied(pixels), pixels)
