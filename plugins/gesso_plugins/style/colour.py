"""Colour as the eye orders it: CIE L*a*b*, colours or lightness kept, and Reinhard's transfer of colours. It moves no edge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesso.media.colour import Srgb
from gesso.media.profile import SRGB_TO_XYZ

Pixels = npt.NDArray[np.float32]
WHITE = SRGB_TO_XYZ.sum(1)
EDGE = 6 / 29


def to_lab(picture: Pixels) -> Pixels:
    """From sRGB (..., 3) in 0..1 to L* in 0..100, a*, b* (CIE 15, with D50 as profiles have it)."""
    share = Srgb().to_linear(picture) @ SRGB_TO_XYZ.T / WHITE
    x, y, z = np.moveaxis(np.where(share > EDGE**3, np.cbrt(share), share / (3 * EDGE**2) + 4 / 29), -1, 0)
    return np.asarray(np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1), np.float32)


def from_lab(lab: Pixels) -> Pixels:
    """Back, cut to 0..1."""
    lightness, a, b = np.moveaxis(lab.astype(np.float64), -1, 0)
    y = (lightness + 16) / 116
    share = np.stack([y + a / 500, y, y - b / 200], -1)
    light = np.where(share > EDGE, share**3, 3 * EDGE**2 * (share - 4 / 29)) * WHITE
    return np.asarray(np.clip(Srgb().from_linear(light @ np.linalg.inv(SRGB_TO_XYZ).T), 0, 1), np.float32)


def keeping(made: Pixels, own: Pixels, what: str) -> Pixels:
    """What was made, with the colours or the lightness of the picture's own (H, W, 3); "nothing": as it is."""
    if what == "nothing":
        return made
    new, old = to_lab(made), to_lab(own)
    return from_lab(np.concatenate([new[..., :1], old[..., 1:]] if what == "colours" else [old[..., :1], new[..., 1:]], -1))


def reinhard(picture: Pixels, style: Pixels, region: Pixels | None = None) -> Pixels:
    """The picture with the mean and deviation of the style's L*, a*, b* (Reinhard et al. 2001); those of the picture in a region (H, W)."""
    own, other = to_lab(picture), to_lab(style).reshape(-1, 3)
    weights = np.ones(own.shape[:2], np.float32) if region is None else region
    share = (weights / max(float(weights.sum()), 1e-6))[..., None]
    mean = (own * share).sum((0, 1))
    deviation = np.sqrt((np.square(own - mean) * share).sum((0, 1)))
    return from_lab((own - mean) / np.maximum(deviation, 1e-3) * other.std(0) + other.mean(0))
