"""The array types and the few pointwise functions that every material shares; nothing here knows about tiles or colours by name."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.floating[Any]]
"""A scalar picture, float32, shape (H, W) or one that broadcasts to it."""

Planes: TypeAlias = NDArray[np.floating[Any]]
"""Three planes of colour, float32, shape (3, H, W): planes first, because numpy is several times faster that way."""

Rgb: TypeAlias = NDArray[np.floating[Any]]
"""One colour, float32, shape (3,), sRGB-encoded, 0..1."""

Ids: TypeAlias = NDArray[np.integer[Any]]
"""Which cell each pixel belongs to, shape (H, W)."""

GREY = np.array((0.30, 0.59, 0.11), np.float32)


def rgb(red: float, green: float, blue: float) -> Rgb:
    """A colour from three numbers in 0..1."""
    return np.array((red, green, blue), np.float32)


def smoothstep(start: float, end: float, x: Field) -> Field:
    """0 before `start`, 1 after `end`, a cubic between; `start` may be the larger of the two."""
    t = x - np.float32(start)
    t *= np.float32(1.0 / (end - start))
    np.clip(t, 0.0, 1.0, out=t)
    cubic = t * np.float32(-2.0)
    cubic += np.float32(3.0)
    cubic *= t
    cubic *= t
    return cubic


def planes(colour: Rgb | Planes) -> Planes:
    """A colour as planes that broadcast against a field; planes pass through."""
    return colour[:, None, None] if colour.ndim == 1 else colour


def mix(a: Rgb | Planes, b: Rgb | Planes, t: Field) -> Planes:
    """`a` where `t` is 0, `b` where `t` is 1."""
    first = planes(a)
    change = planes(b) - first
    change = np.multiply(change, t, out=change if change.shape[1:] == t.shape else None)
    return np.add(change, first, out=change if change.shape[1:] >= first.shape[1:] else None)


def lerp(a: Field | float, b: Field | float, t: Field) -> Field:
    """The scalar sister of `mix`."""
    return a + (b - a) * t


def tint(colour: Rgb | Planes, brightness: Field) -> Planes:
    """A colour multiplied by a field around 1."""
    return planes(colour) * brightness


def luminance(colour: Rgb) -> float:
    """How bright a colour looks, 0..1."""
    return float(colour @ GREY)


def per_cell(table: Field, ident: Ids) -> Field:
    """Spread a table of one value (n,) or one colour (3, n) a cell over the pixels."""
    return np.take(table, ident, axis=-1)


def wrapped(cell: Field, count: int) -> Ids:
    """Whole numbers, given as floats, modulo `count`, as indices; much faster than an integer modulo."""
    rest: Field = cell - count * np.floor(cell * np.float32(1.0 / count) + np.float32(0.5 / count))
    return rest.astype(np.intp)


def hypot(x: Field, y: Field) -> Field:
    """Length of a vector; faster than np.hypot, which guards against overflows that cannot happen here."""
    return np.sqrt(x * x + y * y)


def float32(values: object) -> Field:
    """Anything array-like as float32."""
    return np.asarray(values, dtype=np.float32)
