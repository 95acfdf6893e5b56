"""The palette: which colours and tones the grammar knows and what they look like; the words for them live in `vocabulary`."""

from __future__ import annotations

import colorsys
from types import MappingProxyType

import numpy as np

from .arrays import Field, Rgb, rgb

PALETTE = MappingProxyType(
    {
        "red": rgb(0.67, 0.16, 0.13),
        "orange": rgb(0.86, 0.46, 0.13),
        "yellow": rgb(0.88, 0.74, 0.22),
        "green": rgb(0.26, 0.50, 0.20),
        "teal": rgb(0.13, 0.52, 0.51),
        "blue": rgb(0.17, 0.34, 0.67),
        "purple": rgb(0.43, 0.22, 0.58),
        "pink": rgb(0.88, 0.53, 0.65),
        "brown": rgb(0.44, 0.28, 0.16),
        "beige": rgb(0.81, 0.72, 0.57),
        "grey": rgb(0.50, 0.50, 0.50),
        "black": rgb(0.155, 0.155, 0.165),
        "white": rgb(0.91, 0.90, 0.88),
        "gold": rgb(0.83, 0.63, 0.24),
        "copper": rgb(0.76, 0.43, 0.28),
        "silver": rgb(0.74, 0.76, 0.78),
    }
)
"""sRGB-encoded colour by name."""

COLOURS: tuple[str, ...] = tuple(PALETTE)
TONES: tuple[str, ...] = ("", "dark", "light", "vivid")
TONELESS = frozenset({"black", "white", "gold", "copper", "silver"})
"""Colours that take no tone: a light black is a grey, a dark silver a steel."""


def tones_of(colour: str) -> tuple[str, ...]:
    """The tones that make sense for a colour."""
    return ("",) if colour in TONELESS else TONES


def colour_value(colour: str, tone: str) -> Rgb:
    """The sRGB value, (3,), of a named colour in a named tone."""
    base = PALETTE[colour]
    if tone == "dark":
        return base * np.float32(0.58)
    if tone == "light":
        return base + (1.0 - base) * np.float32(0.45)
    if tone == "vivid":
        return _resaturated(base)
    return base


def _resaturated(base: Rgb) -> Rgb:
    hue, light, saturation = colorsys.rgb_to_hls(*(float(channel) for channel in base))
    return rgb(*colorsys.hls_to_rgb(hue, min(light * 1.12, 0.68), min(saturation * 1.6 + 0.1, 0.95)))


def jittered(colour: Rgb, rng: np.random.Generator, amount: float = 1.0) -> Rgb:
    """A near neighbour of a colour: the small differences between two things of one colour."""
    hue, light, saturation = colorsys.rgb_to_hls(*(float(channel) for channel in colour))
    turn, lift, vigour = rng.normal(0.0, 1.0, 3) * amount
    return rgb(
        *colorsys.hls_to_rgb(
            (hue + 0.006 * turn) % 1.0,
            min(max(light + 0.025 * lift, 0.04), 0.95),
            min(max(saturation * (1.0 + 0.10 * vigour), 0.0), 1.0),
        )
    )


def shades(colour: Rgb, rng: np.random.Generator, count: int, spread: float, hue: float = 0.03) -> Field:
    """A table (3, count) of neighbours of a colour: brightness varies by `spread`, warmth by `hue` (less where the colour is grey)."""
    hue *= 0.2 + 0.8 * min(1.0, 2.5 * float(colour.max() - colour.min()))
    brightness = 1.0 + rng.normal(0.0, spread, count)
    warmth, leaf = rng.normal(0.0, hue, (2, count))
    channels = np.stack((1.0 + warmth, 1.0 + 0.3 * leaf, 1.0 - warmth))
    table: Field = np.clip(colour[:, None] * (brightness * channels).astype(np.float32), 0.0, 1.0)
    return table
