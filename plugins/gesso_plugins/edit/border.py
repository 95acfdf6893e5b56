"""The border that cannot be seen: how far a result is off where it meets the picture, and a membrane that takes the difference away.

The model repaints what it was told to keep almost, but not quite: a shift of colour, often with a slope. A global match of mean and
spread cannot undo a slope. The membrane takes the difference on the ring around the mask, where both sides are known, and spreads it
over the inside as a soap film would (Perez et al. 2003, Poisson image editing, with the result as the guiding field).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.float32]

SOFTNESS = 2.0
"""Deviation, in pixels, of the blur that takes grain out of the difference: the film hangs on colours, not on grain."""
FINEST = 256
"""The film is computed on at most so many cells a side; between them it is smooth."""
SWEEPS = 24


@dataclass(frozen=True)
class BorderError:
    """Mean absolute errors on the ring around a mask: of values, and of steps from pixel to pixel."""

    values: float
    steps: float


def membrane(picture: Pixels, made: Pixels, mask: Mask) -> Pixels:
    """What to add to `made` (H, W, C): the difference to `picture` where the mask is 0, spread harmonically over where it is not."""
    known = (mask <= 0).astype(np.float32)
    if not known.any():
        return np.zeros_like(made)
    weight = ndimage.gaussian_filter(known, SOFTNESS)
    difference = np.empty_like(made)
    for channel in range(made.shape[2]):
        plane = (picture[..., channel] - made[..., channel]) * known
        difference[..., channel] = ndimage.gaussian_filter(plane, SOFTNESS) / np.maximum(weight, 1e-6)
    factor = max(1, -(-max(mask.shape) // FINEST))
    film = _film(*_coarse(difference, known, factor))
    spread = _enlarged(film, mask.shape, factor)
    return np.where(known[..., None] > 0, difference, spread).astype(np.float32)


def border_error(picture: Pixels, made: Pixels, mask: Mask, width: int = 8) -> BorderError:
    """How far `made` is off on the ring of so many pixels outside the mask, where it should equal `picture`."""
    inside = mask > 0
    ring = ndimage.binary_dilation(inside, iterations=width) & ~inside
    if not ring.any():
        return BorderError(0.0, 0.0)
    difference = made - picture
    blurred = np.stack([ndimage.gaussian_filter(difference[..., c], SOFTNESS) for c in range(made.shape[2])], axis=2)
    across, down = np.abs(np.diff(blurred, axis=1, append=blurred[:, -1:])), np.abs(np.diff(blurred, axis=0, append=blurred[-1:]))
    return BorderError(float(np.abs(blurred[ring]).mean()), float((across[ring] + down[ring]).mean() / 2))


def _coarse(difference: Pixels, known: Mask, factor: int) -> tuple[Pixels, Mask]:
    """Means over cells of known pixels, and which cells have any; the last row and column are repeated to fill a cell."""
    if factor == 1:
        return difference, known
    height, width = known.shape
    more = ((0, -height % factor), (0, -width % factor))
    weight, values = np.pad(known, more, mode="edge"), np.pad(difference * known[..., None], (*more, (0, 0)), mode="edge")
    rows, columns = weight.shape[0] // factor, weight.shape[1] // factor
    count = weight.reshape(rows, factor, columns, factor).sum((1, 3))
    total = values.reshape(rows, factor, columns, factor, -1).sum((1, 3))
    return (total / np.maximum(count, 1e-6)[..., None]).astype(np.float32), (count > 0).astype(np.float32)


def _film(values: Pixels, known: Mask) -> Pixels:
    """Known cells as they are, the others harmonic: solved on half the cells first, then smoothed by Gauss-Seidel in two colours."""
    if known.all():
        return values
    if min(known.shape) <= 2:
        mean = (values * known[..., None]).sum((0, 1)) / max(float(known.sum()), 1e-6)
        return np.where(known[..., None] > 0, values, mean).astype(np.float32)
    coarse = _film(*_coarse(values, known, 2))
    film = np.where(known[..., None] > 0, values, _enlarged(coarse, known.shape, 2)).astype(np.float32)
    free = known <= 0
    checker = (np.add.outer(np.arange(known.shape[0]), np.arange(known.shape[1])) % 2).astype(bool)
    halves = [free & checker, free & ~checker]
    for _ in range(SWEEPS):
        for half in halves:
            edge = np.pad(film, ((1, 1), (1, 1), (0, 0)), mode="edge")
            around = (edge[:-2, 1:-1] + edge[2:, 1:-1] + edge[1:-1, :-2] + edge[1:-1, 2:]) / 4
            film[half] = around[half]
    return film


def _enlarged(values: Pixels, shape: tuple[int, ...], factor: int) -> Pixels:
    """Bilinear, cell middles on cell middles."""
    if factor == 1:
        return values
    rows, columns = ((np.arange(size) + 0.5) / factor - 0.5 for size in shape[:2])
    return _linear(_linear(values, rows, 0), columns, 1)


def _linear(values: Pixels, places: npt.NDArray[np.float64], axis: int) -> Pixels:
    """Linear interpolation along an axis; beyond the ends it goes on with the last slope, so that a plane stays a plane."""
    last = values.shape[axis] - 1
    if last == 0:
        return np.repeat(values, len(places), axis)
    low = np.clip(np.floor(places).astype(int), 0, last - 1)
    share = (places - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    result: Pixels = np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share
    return result
