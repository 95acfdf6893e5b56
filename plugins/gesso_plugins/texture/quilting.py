"""Makes a picture wrap around with pieces of itself. Pure functions of the pixels; no model, no chance.

The picture is rolled by half, so that its border becomes a seam across the middle and its middle, which fits, becomes the border. A
difference of light between the two sides is taken away first, by what is smooth in Moisan's periodic-plus-smooth decomposition (2011).
Then the strip of the picture that fits best is laid over the seam and joined along the paths of least error (Efros and Freeman 2001).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Pixels = npt.NDArray[np.float32]
SMALL = 192
"""Rows and columns at which the best strip is sought."""
FADE = 1.0
"""Deviation in pixels of the blend along the paths."""


def repaired(picture: Pixels, tile: str) -> Pixels:
    """The picture (H, W, C), which wraps along the axes of ``tile`` (x, y, xy)."""
    made, done = picture, ""
    for axis in ("x", "y"):
        if axis in tile:
            straight = made if axis == "x" else np.swapaxes(made, 0, 1)
            mended = _mended(np.ascontiguousarray(straight), closed=bool(done))
            made, done = (mended if axis == "x" else np.swapaxes(mended, 0, 1)), done + axis
    return np.ascontiguousarray(np.clip(made, 0, 1))


def _mended(picture: Pixels, *, closed: bool) -> Pixels:
    """Along x; ``closed``: it wraps along y already, and goes on doing so."""
    width = picture.shape[1]
    rolled = np.roll(_evened(picture, closed=closed), width // 2, 1)
    middle, half = width // 2, max(4, width // 8)
    if width < 4 * half:
        return picture
    margin = max(2, half * 2 // 3)
    band = slice(middle - half, middle + half)
    strip = np.roll(rolled, -_best_shift(rolled, middle, half, margin), 1)[:, band]
    here = rolled[:, band]
    error = np.square(strip - here).sum(2)
    left = cut(error[:, :margin], closed=closed)
    right = 2 * half - 1 - cut(error[:, ::-1][:, :margin], closed=closed)
    columns = np.arange(2 * half)[None]
    inside = ((columns > left[:, None]) & (columns < right[:, None])).astype(np.float32)
    share = ndimage.gaussian_filter(inside, FADE, mode=("wrap" if closed else "nearest", "constant"))[..., None]
    made = rolled.copy()
    made[:, band] = here + (strip - here) * share
    return np.roll(made, -(width // 2), 1)


def _evened(picture: Pixels, *, closed: bool) -> Pixels:
    """Without the difference of light between the left and the right border: minus the smoothest picture that has the same step there.

    Its Laplacian is the step, at both borders, and nothing elsewhere (Moisan 2011, theorem 1). The step is that of the light alone, so it
    is taken between broad margins and smooth along them: what is finer is a matter of the strip.
    """
    height, width = picture.shape[:2]
    margin = max(1, width // 10)
    step = picture[:, -margin:].mean(1) - picture[:, :margin].mean(1)
    broad = ndimage.gaussian_filter1d(step, max(1.0, height / 4), axis=0, mode="wrap" if closed else "nearest")
    source = np.zeros((height, width, picture.shape[2]), np.float32)
    source[:, 0], source[:, -1] = broad, -broad
    # Without wrap along y the picture is mirrored there, so that no step is seen across its top and bottom.
    whole = source if closed else np.concatenate([source, source[::-1]])
    rows, columns = whole.shape[:2]
    down, across = (2 * np.cos(2 * np.pi * np.arange(n) / n) for n in (rows, columns))
    bend = down[:, None] + across[None, : columns // 2 + 1] - 4
    bend[0, 0] = 1
    smooth = fft.irfft2(fft.rfft2(whole, axes=(0, 1)) / bend[..., None], (rows, columns), axes=(0, 1))
    return np.asarray(picture - smooth[:height], np.float32)


def _best_shift(rolled: Pixels, middle: int, half: int, margin: int) -> int:
    """How far to the right the strip lies that fits best beside the seam; one that holds the seam itself is none."""
    step: int = max(1, -(-max(rolled.shape[:2]) // SMALL))
    small = ndimage.uniform_filter(rolled, (step, step, 0), mode="wrap")[::step, ::step]
    columns = small.shape[1]
    places = np.arange(middle - half, middle + half) // step % columns
    sides = np.unique(np.concatenate([places[:margin], places[-margin:]]))
    wanted = small[:, sides]
    first, last = -(-half // step) + 1, columns - (-(-half // step)) - 1
    shifts: list[int] = [*range(first, max(first + 1, last))]
    errors = [float(np.square(small[:, (sides + shift) % columns] - wanted).sum()) for shift in shifts]
    best = min(range(len(shifts)), key=errors.__getitem__)
    return shifts[best] * step


def cut(error: Pixels, *, closed: bool) -> npt.NDArray[np.intp]:
    """The path from top to bottom (a column for each row) whose sum of errors is least; ``closed``: it ends where it began."""
    if not closed:
        return _path(error, None)
    begin = int(_path(np.concatenate([error] * 3), None)[len(error)])
    return _path(error, begin)


def _path(error: Pixels, begin: int | None) -> npt.NDArray[np.intp]:
    rows, columns = error.shape
    total = error[0].astype(np.float64)
    if begin is not None:
        total = np.where(np.arange(columns) == begin, total, np.inf)
    back = np.zeros((rows, columns), np.intp)
    for row in range(1, rows):
        sides = np.stack([np.r_[np.inf, total[:-1]], total, np.r_[total[1:], np.inf]])
        choice = sides.argmin(0)
        back[row] = np.arange(columns) + choice - 1
        total = error[row] + np.take_along_axis(sides, choice[None], 0)[0]
    if begin is not None:
        total = np.where(np.abs(np.arange(columns) - begin) <= 1, total, np.inf)
    path = np.empty(rows, np.intp)
    path[-1] = total.argmin()
    for row in range(rows - 1, 0, -1):
        path[row - 1] = back[row, path[row]]
    return path
