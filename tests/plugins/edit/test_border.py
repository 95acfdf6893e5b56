"""The membrane takes offsets and slopes away that a global match of mean and spread cannot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from gesso.media.lab import delta_e, to_lab
from gesso_plugins.edit.border import Seam

Pixels = npt.NDArray[np.float32]


def scene(size: int, seed: int) -> tuple[Pixels, npt.NDArray[np.float32]]:
    """A soft picture, and an oval mask inside it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = [0.1 * np.sin(2 * np.pi * (rng.uniform(-2, 2) * x + rng.uniform(-2, 2) * y) + rng.uniform(0, 6)) for _ in range(9)]
    picture = 0.5 + np.stack([sum(waves[c::3]) for c in range(3)], 2)
    mask = (((x - 0.5) / 0.28) ** 2 + ((y - 0.45) / 0.2) ** 2 < 1).astype(np.float32)
    return picture.astype(np.float32), mask


def membrane(picture: Pixels, made: Pixels, mask: npt.NDArray[np.float32]) -> Pixels:
    return Seam(picture, made, mask).membrane()


def reinhard(picture: Pixels, made: Pixels, mask: npt.NDArray[np.float32]) -> Pixels:
    """Mean and spread of the pixels outside, matched per channel over the whole (Reinhard et al. 2001)."""
    known = mask <= 0
    a, b = made[known], picture[known]
    return ((made - a.mean(0)) / a.std(0) * b.std(0) + b.mean(0)).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [96, 600])
def test_offsets_and_slopes_vanish(size: int, seed: int) -> None:
    picture, mask = scene(size, seed)
    rng = np.random.default_rng(100 + seed)
    y, x = np.mgrid[:size, :size] / size
    shift = np.stack([rng.uniform(-0.1, 0.1) + rng.uniform(-0.2, 0.2) * x + rng.uniform(-0.2, 0.2) * y for _ in range(3)], 2)
    made = picture + shift.astype(np.float32)
    inside = mask > 0
    mended = made + membrane(picture, made, mask)
    ours = np.abs(mended - picture)[inside].mean()
    theirs = np.abs(reinhard(picture, made, mask) - picture)[inside].mean()
    assert ours * 5 < theirs
    seam = Seam(picture, made, mask)
    before, after = seam.error(mended=False), seam.error(mended=True)
    assert after.values * 5 < before.values
    assert after.steps * 2 < before.steps
    assert after.delta_e * 4 < before.delta_e
    again = Seam(picture, mended, mask).error(mended=False)
    assert again.values * 5 < before.values, "what is told is what is found in what was mended"


def test_part_of_a_membrane_is_part_of_the_whole() -> None:
    for size in (96, 700):
        picture, mask = scene(size, 5)
        seam = Seam(picture, picture * np.float32(0.9), mask)
        place = (slice(20, 70), slice(31, 90))
        assert np.array_equal(seam.membrane(place), seam.membrane()[place])


def test_nothing_to_mend_is_left_alone() -> None:
    picture, mask = scene(96, 1)
    assert np.abs(membrane(picture, picture, mask)).max() == 0
    assert Seam(picture, picture, mask).error(mended=False).values == 0
    everything = np.ones_like(mask)
    assert np.abs(membrane(picture, picture + 1, everything)).max() == 0


def test_what_is_new_inside_stays() -> None:
    picture, mask = scene(96, 2)
    made = picture.copy()
    made[40:48, 44:52] += 0.3
    assert np.abs(membrane(picture, made, mask)).max() < 1e-6


def test_a_mask_that_touches_the_canvas_on_three_sides() -> None:
    picture, _ = scene(96, 3)
    mask = np.zeros((96, 96), np.float32)
    mask[:, 30:] = 1
    mended = picture + 0.1 + membrane(picture, picture + np.float32(0.1), mask)
    assert np.abs(mended - picture).max() < 0.01


def test_an_error_is_told_as_the_eye_and_a_ruler_would() -> None:
    for size in (96, 600):
        picture, mask = np.full((size, size, 3), 0.5, np.float32), scene(size, 1)[1]
        slope = np.linspace(0, 0.1, size, dtype=np.float32)[None, :, None]
        error = Seam(picture, picture + 0.02 + slope, mask).error(mended=False)
        assert error.steps == pytest.approx(0.1 / (size - 1) / 2, rel=0.05), "half of the steps, those down, are none"
        ring = delta_e(to_lab(picture), to_lab(picture + 0.02 + slope))
        assert error.delta_e == pytest.approx(float(ring.mean()), rel=0.1)
