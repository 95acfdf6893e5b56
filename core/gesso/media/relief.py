"""The geometry of a height map that wraps around: slopes, normals and occlusion, which therefore always agree with one another."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Map = NDArray[np.float32]
REACHES = ((0.012, 26.0), (0.05, 10.0))
"""How far occlusion looks (deviation of a Gaussian, a share of the shorter side), and how strongly each reach counts."""


def slopes(height: Map) -> tuple[Map, Map]:
    """Central differences with wrap: rise per unit to the right and upwards, for heights as shares of the shorter side."""
    per_unit = np.float32(min(height.shape) / 2.0)
    right = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) * per_unit
    up = (np.roll(height, 1, 0) - np.roll(height, -1, 0)) * per_unit
    return right, up


def normals(height: Map) -> Map:
    """Tangent-space normals (H, W, 3) of a height (share of the shorter side): OpenGL convention (+Y up), encoded as n / 2 + 1 / 2."""
    right, up = slopes(height)
    inverse = 0.5 / np.sqrt(right * right + up * up + 1.0)
    return np.stack((0.5 - right * inverse, 0.5 - up * inverse, 0.5 + inverse), axis=2)


def occlusion(height: Map) -> Map:
    """Ambient occlusion (H, W) in 0.15..1 of a height (share of the shorter side): how far each point lies under its surroundings,
    at two reaches.
    """
    closed = np.zeros_like(height)
    spectrum = fft.rfft2(height)
    for reach, strength in REACHES:
        around = fft.irfft2(spectrum * gaussian(*height.shape, reach), s=height.shape)
        closed += np.maximum(around - height, 0.0) * np.float32(strength)
    return np.asarray(np.maximum(1.0 / (1.0 + closed * 1.6), 0.15), np.float32)


@lru_cache(maxsize=8)
def gaussian(height: int, width: int, reach: float) -> Map:
    """The transfer function of a Gaussian blur whose deviation is `reach`, a share of the shorter side."""
    side = min(height, width)
    fy = fft.fftfreq(height, 1.0 / height)[:, None] * (side / height)
    fx = fft.rfftfreq(width, 1.0 / width)[None, :] * (side / width)
    return np.exp(-2.0 * (np.pi * reach) ** 2 * (fx * fx + fy * fy)).astype(np.float32)
