"""Colour as the eye orders it: CIE L*a*b* of sRGB, and how far two colours are apart. It knows no document and no profile."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesso.media.colour import Srgb
from gesso.media.profile import SRGB_TO_XYZ

Pixels = npt.NDArray[np.float32]
Values = npt.NDArray[np.floating]
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


def delta_e(one: Values, other: Values) -> Values:
    """How far L*a*b* colours (..., 3) are apart, by CIEDE2000 (Sharma, Wu and Dalal 2005): about 1 is what an eye can just tell."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(np.asarray(lab, np.float64), -1, 0) for lab in (one, other))
    stretch = 1.5 - 0.5 * _saturation((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * stretch)) % 360 for a, b in ((a1, b1), (a2, b2)))
    coloured = c1 * c2 > 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)
    turn = np.where(coloured & (h2 - h1 == 180), 180.0, turn)
    hue = np.where(coloured, (h1 + turn / 2) % 360, h1 + h2)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    waves = ((0.17, 1, -30, -1), (0.24, 2, 0, 1), (0.32, 3, 6, 1), (0.20, 4, -63, -1))
    uneven = 1 + sum(sign * size * np.cos(np.radians(times * hue + shift)) for size, times, shift, sign in waves)
    off = np.square(lightness - 50)
    by_lightness = (l2 - l1) / (1 + 0.015 * off / np.sqrt(20 + off))
    by_chroma = (c2 - c1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * uneven)
    blue = -2 * _saturation(chroma) * np.sin(np.radians(60 * np.exp(-np.square((hue - 275) / 25))))
    squared = np.square(by_lightness) + np.square(by_chroma) + np.square(by_hue) + blue * by_chroma * by_hue
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


def _saturation(chroma: Values) -> Values:
    power = np.asarray(chroma, np.float64) ** 7
    return np.asarray(np.sqrt(power / (power + 25.0**7)))
