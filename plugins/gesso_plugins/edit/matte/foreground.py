"""The colours of the foreground alone, where the picture mixes them with what is behind: Germer et al., Fast Multi-Level Foreground
Estimation (2020).

Foreground F and background B are what explains the picture, I = alpha F + (1 - alpha) B, and changes little from pixel to pixel, least
where alpha changes little:

    sum over pixels i of (alpha_i F_i + (1 - alpha_i) B_i - I_i)^2 + sum over neighbours j of w_ij ((F_i - F_j)^2 + (B_i - B_j)^2),
    w_ij = EVEN + STEEP |alpha_i - alpha_j|

With the neighbours held, each pixel's F and B solve a system of two equations. That is swept over pictures of growing size, each
starting from the one before, so that colours travel far in few sweeps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesso.media.working import resampled

Plane = npt.NDArray[np.float32]
EVEN, STEEP = 1e-5, 1.0
SMALL = 32
"""Pixels a side up to which colours are swept `MANY` times, beyond it `FEW` times."""
MANY, FEW = 12, 3


def estimated(picture: Plane, matte: Plane) -> Plane:
    """The foreground (H, W, 3) of a picture (H, W, 3) with a matte (H, W); where the matte is 1 it is the picture itself."""
    fore, back = np.broadcast_to(picture.mean((0, 1)), (2, 1, 1, 3)).astype(np.float32)
    for size in _sizes(matte.shape[1], matte.shape[0]):
        near = _nearest(size, fore.shape)
        fore, back = fore[near], back[near]
        seen, alpha = resampled(picture, size), np.clip(resampled(matte, size), 0, 1)
        weights = [EVEN + STEEP * np.abs(alpha - _neighbour(alpha, way)) for way in range(4)]
        for _ in range(MANY if max(size) <= SMALL else FEW):
            fore, back = _swept(seen, alpha, weights, fore, back)
    return np.where(matte[..., None] >= 1, picture, fore)


def _swept(seen: Plane, alpha: Plane, weights: list[Plane], fore: Plane, back: Plane) -> tuple[Plane, Plane]:
    """One solution of every pixel's two equations, by Cramer's rule."""
    total = sum(weights)
    pulled_fore = sum(weight[..., None] * _neighbour(fore, way) for way, weight in enumerate(weights))
    pulled_back = sum(weight[..., None] * _neighbour(back, way) for way, weight in enumerate(weights))
    rest = 1 - alpha
    first, second, cross = alpha * alpha + total, rest * rest + total, alpha * rest
    right_fore, right_back = alpha[..., None] * seen + pulled_fore, rest[..., None] * seen + pulled_back
    over = (1 / (first * second - cross * cross))[..., None]
    new_fore = (second[..., None] * right_fore - cross[..., None] * right_back) * over
    new_back = (first[..., None] * right_back - cross[..., None] * right_fore) * over
    return np.clip(new_fore, 0, 1).astype(np.float32), np.clip(new_back, 0, 1).astype(np.float32)


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    """From one pixel to the picture, each about twice the one before."""
    levels = max(1, int(np.ceil(np.log2(max(width, height)))))
    return [(round(width ** (step / levels)), round(height ** (step / levels))) for step in range(levels + 1)]


def _nearest(size: tuple[int, int], shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which pixels of a smaller picture stand at those of a larger one."""
    rows, columns = (np.arange(side) * before // side for side, before in zip(size[::-1], shape[:2], strict=True))
    return rows[:, None], columns[None]


def _neighbour(values: Plane, way: int) -> Plane:
    """The picture moved by one pixel: up, down, left or right; at the border a pixel is its own neighbour."""
    axis, forward = divmod(way, 2)
    last = values.shape[axis] - 1
    index = np.clip(np.arange(last + 1) + (1 if forward else -1), 0, last)
    moved: Plane = np.take(values, index, axis)
    return moved
