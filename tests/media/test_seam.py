"""The measure of a seam: a picture that wraps has a border like any other place, one that does not shows it."""

from __future__ import annotations

import numpy as np

from gesso.media.seam import seam, seams


def waves(turns: float) -> np.ndarray:
    """A picture whose columns go round ``turns`` times."""
    along = np.sin(np.linspace(0, 2 * np.pi * turns, 64, endpoint=False))
    return np.repeat(((along * 0.5 + 0.5) * 255)[None, :, None], 16, axis=0).repeat(3, axis=2).astype(np.uint8)


def test_a_picture_that_wraps_has_no_seam() -> None:
    found = seam(waves(3), "x")
    assert 0.2 < found["ratio"] < 2
    assert found["rank"] < 1


def test_one_that_does_not_shows_it() -> None:
    found = seam(waves(3.25), "x")
    assert found["ratio"] > 2
    assert found["rank"] == 1


def test_axes_are_told_apart() -> None:
    pixels = waves(3.25)
    assert seam(pixels, "y") == {"ratio": 0.0, "rank": 0.5}
    assert seams(pixels.transpose(1, 0, 2), "y") == {"y": seam(pixels, "x")}
    assert set(seams(pixels, "xy")) == {"x", "y"}
    assert seams(pixels, "none") == {}
