"""The border that cannot be seen: how far a result is off where it meets the picture, and a membrane that takes the difference away.

The model repaints what it was told to keep almost, but not quite: a shift of colour, often with a slope. A global match of mean and
spread cannot undo a slope. The membrane takes the difference on the ring around the mask, where both sides are known, and spreads it
over the inside as a soap film would (Perez et al. 2003, Poisson image editing, with the result as the guiding field).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gesso.media.lab import delta_e, to_lab

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.float32]

SOFTNESS = 2.0
"""Deviation, in pixels, of the blur that takes grain out of the difference: the film hangs on colours, not on grain."""
FINEST = 160
"""Differences are looked at in at most so many cells a side; between them the film is smooth."""
SWEEPS = 12
SMALL = 100
"""Cells a side up to which the film is swept so often; on finer grids what the coarser one found needs little smoothing."""
Place = tuple[slice, slice]
WHOLE: Place = (slice(None), slice(None))


@dataclass(frozen=True)
class BorderError:
    """Means on the ring around a mask: how far values are off, and steps from pixel to pixel, and colours to the eye (CIEDE2000)."""

    values: float
    steps: float
    delta_e: float


class Seam:
    """How what was made differs from the picture where both are known (the mask is 0), in cells of a few pixels, so that the whole of a
    large region is read once.
    """

    def __init__(self, picture: Pixels, made: Pixels, mask: Mask) -> None:
        self._shape = mask.shape
        self._factor = max(1, -(-max(mask.shape) // FINEST))
        rows, columns = (np.minimum(np.arange(0, side, self._factor) + self._factor // 2, side - 1) for side in mask.shape)
        self._colours = picture[rows[:, None], columns]
        known = (mask <= 0).astype(np.float32)
        self._found, self._known = _coarse(picture - made, known, self._factor)

    @cached_property
    def _difference(self) -> Pixels:
        """Without grain."""
        softness = SOFTNESS / self._factor
        weight = np.maximum(ndimage.gaussian_filter(self._known, softness), 1e-6)
        planes = [ndimage.gaussian_filter(self._found[..., c] * self._known, softness) / weight for c in range(self._found.shape[2])]
        return np.stack(planes, 2)

    @cached_property
    def _film(self) -> Pixels:
        return _film(self._difference, self._known) if self._known.any() else np.zeros_like(self._found)

    def membrane(self, place: Place = WHOLE) -> Pixels:
        """What to add to what was made (H, W, C), or to some rows and columns of it: the difference where it is known, spread harmonically
        over where it is not.
        """
        return _enlarged(self._film, self._shape, self._factor, place)

    def error(self, *, mended: bool, width: int = 8) -> BorderError:
        """How far it is off on the ring of so many pixels outside the mask, before or after it is mended."""
        inside = self._known <= 0
        ring = ndimage.binary_dilation(inside, iterations=max(1, round(width / self._factor))) & ~inside if inside.any() else inside
        if not ring.any():
            return BorderError(0.0, 0.0, 0.0)
        off = self._difference - self._smoothed if mended else self._difference
        across, down = np.abs(np.diff(off, axis=1, append=off[:, -1:])), np.abs(np.diff(off, axis=0, append=off[-1:]))
        here = self._colours[ring]
        apart = delta_e(to_lab(here), to_lab(here - off[ring]))
        steps = (across[ring] + down[ring]) / 2 / self._factor
        return BorderError(float(np.abs(off[ring]).mean()), float(steps.mean()), float(apart.mean()))

    @cached_property
    def _smoothed(self) -> Pixels:
        """The film as it meets the ring: a blur that sees the inside as well."""
        planes = [ndimage.gaussian_filter(self._film[..., c], SOFTNESS / self._factor) for c in range(self._film.shape[2])]
        return np.stack(planes, 2)


def _coarse(difference: Pixels, known: Mask, factor: int) -> tuple[Pixels, Mask]:
    """Means over cells of known pixels, and which cells have any; the last row and column are repeated to fill a cell."""
    if factor == 1:
        return difference, known
    height, width = known.shape
    more = ((0, -height % factor), (0, -width % factor))
    weight, values = known, difference * known[..., None]
    if more != ((0, 0), (0, 0)):
        weight, values = np.pad(weight, more, mode="edge"), np.pad(values, (*more, (0, 0)), mode="edge")
    count, total = _summed(weight[..., None], factor), _summed(values, factor)
    return (total / np.maximum(count, 1e-6)).astype(np.float32), (count[..., 0] > 0).astype(np.float32)


def _summed(values: Pixels, factor: int) -> Pixels:
    """Sums over cells: first down, along whole rows of memory, then across."""
    height, width, channels = values.shape
    down = values.reshape(height // factor, factor, width * channels).sum(1)
    summed: Pixels = down.reshape(height // factor, width // factor, factor, channels).sum(2)
    return summed


def _film(values: Pixels, known: Mask) -> Pixels:
    """Known cells as they are, the others harmonic: solved on half the cells first, then smoothed by Gauss-Seidel in two colours."""
    if known.all():
        return values
    if min(known.shape) <= 2:
        mean = (values * known[..., None]).sum((0, 1)) / max(float(known.sum()), 1e-6)
        return np.where(known[..., None] > 0, values, mean).astype(np.float32)
    coarse = _film(*_coarse(values, known, 2))
    film = np.where(known[..., None] > 0, values, _enlarged(coarse, known.shape, 2)).astype(np.float32)
    free = (known <= 0)[..., None]
    checker = (np.add.outer(np.arange(known.shape[0]), np.arange(known.shape[1])) % 2).astype(bool)[..., None]
    halves = free & checker, free & ~checker
    edged = np.pad(film, ((1, 1), (1, 1), (0, 0)), mode="edge")  # one row more on each side, to look at
    inner = edged[1:-1, 1:-1]
    for _ in range(SWEEPS if max(known.shape) <= SMALL else SWEEPS // 4):
        for half in halves:
            edged[0], edged[-1], edged[:, 0], edged[:, -1] = edged[1], edged[-2], edged[:, 1], edged[:, -2]
            around = (edged[:-2, 1:-1] + edged[2:, 1:-1] + edged[1:-1, :-2] + edged[1:-1, 2:]) / 4
            np.copyto(inner, around, where=half)
    return inner


def _enlarged(values: Pixels, shape: tuple[int, ...], factor: int, place: Place = WHOLE) -> Pixels:
    """Bilinear, cell middles on cell middles; all of it, or some rows and columns."""
    if factor == 1:
        return values[place]
    rows, columns = (((np.arange(size) + 0.5) / factor - 0.5)[part] for size, part in zip(shape[:2], place, strict=True))
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
