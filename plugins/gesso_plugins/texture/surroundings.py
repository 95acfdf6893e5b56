"""The surroundings of planes that wrap along some axes and not along others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]


def padded(plane: Plane, pads: tuple[int, int, int, int], tile: str) -> Plane:
    """(H, W, ...) with (top, bottom, left, right) more pixels: wrapped along the axes of ``tile``, mirrored along the others."""
    top, bottom, left, right = pads
    rest = ((0, 0),) * (plane.ndim - 2)
    tall = np.pad(plane, ((top, bottom), (0, 0), *rest), mode="wrap" if wraps(tile, "y") else "symmetric")
    return np.pad(tall, ((0, 0), (left, right), *rest), mode="wrap" if wraps(tile, "x") else "symmetric")


def wraps(tile: str, axis: str) -> bool:
    """Whether ``tile`` (none, x, y or xy) has that axis."""
    return tile != "none" and axis in tile
