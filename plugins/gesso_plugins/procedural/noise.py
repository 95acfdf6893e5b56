"""Periodic noise made from a fixed-order random spectrum: the same seed gives the same tile at every size.

Frequencies are absolute, in cycles per unit (the tile's shorter side), and the coefficients are drawn band by band from low to high, so a
larger canvas only goes on drawing where a smaller one stopped. Nothing here knows about pixels beyond the Nyquist limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .arrays import Field

HIGHEST = 512.0
"""No noise reaches beyond this many cycles per unit, so that the cost of the draws is bounded."""

_CACHED_COEFFICIENTS = 1 << 16
_POWER = 2.0 * (256**2 - 1) / 12.0
"""Mean square of a coefficient whose two parts are random bytes."""


@dataclass(frozen=True)
class Spectrum:
    """The law of a noise: amplitude falls as frequency ** -slope between `low` and `high` cycles per unit.

    `stretch` makes features that many times longer along an axis turned by `angle` radians from x.
    """

    low: float = 2.0
    slope: float = 1.6
    high: float = HIGHEST
    stretch: float = 1.0
    angle: float = 0.0


def spectral_noise(seed: int, spectrum: Spectrum, width: int, height: int, aspect: tuple[float, float]) -> Field:
    """Noise (height, width) with mean 0 and standard deviation about 1, exactly periodic in both axes."""
    limit = (_last_index(spectrum, aspect[0], width), _last_index(spectrum, aspect[1], height))
    coefficients = _draw(seed, limit, aspect) * _amplitude(spectrum, limit, aspect)
    energy = _energy(coefficients) + _beyond(spectrum, limit, aspect) * _POWER
    coefficients *= _half_a_pixel(limit[0], width)[limit[0] :] * np.float32(1.0 / math.sqrt(energy + 1e-12))
    coefficients *= _half_a_pixel(limit[1], height)[:, None]
    rows = limit[1]
    columns = np.zeros((height, limit[0] + 1), np.complex64)
    columns[: rows + 1] = coefficients[rows:]
    if rows:
        columns[-rows:] = coefficients[:rows]
    partial = fft.ifft(columns, axis=0, norm="forward", overwrite_x=True)
    return np.asarray(fft.irfft(partial, n=width, axis=1, norm="forward", overwrite_x=True), dtype=np.float32)


def _last_index(spectrum: Spectrum, extent: float, pixels: int) -> int:
    """The last frequency index along an axis that the canvas can hold and the spectrum needs."""
    return max(min((pixels - 1) // 2, int(min(spectrum.high, HIGHEST) * extent)), 0)


def _bands(limit: tuple[int, int], aspect: tuple[float, float]) -> list[tuple[int, int]]:
    """Growing rectangles (last x index, last y index) of frequencies: their sequence does not depend on the limit, only its end."""
    octave = 8.0
    bands = [(math.ceil(octave * aspect[0]), math.ceil(octave * aspect[1]))]
    while bands[-1][0] < limit[0] or bands[-1][1] < limit[1]:
        octave *= 2.0
        bands.append((math.ceil(octave * aspect[0]), math.ceil(octave * aspect[1])))
    return bands


def _draw(seed: int, limit: tuple[int, int], aspect: tuple[float, float]) -> NDArray[np.complex64]:
    """Random coefficients (2 * rows + 1, columns + 1), y index from -rows to rows, drawn from low bands to high.

    Their parts are evenly distributed bytes: a sum of many is as good as normal, and they cost a tenth.
    """
    bands = _bands(limit, aspect)
    last_x, last_y = bands[-1]
    total = (2 * last_y + 1) * (last_x + 1) * 2
    parts = np.frombuffer(np.random.Generator(np.random.PCG64(seed)).bytes(total), np.int8).astype(np.float32)
    parts += np.float32(0.5)
    plane = np.empty((2 * last_y + 1, last_x + 1, 2), np.float32)
    used = 0
    for region in _rings(bands):
        size = plane[region].size
        plane[region] = parts[used : used + size].reshape(plane[region].shape)
        used += size
    plane[last_y, 0] = 0.0
    cut = plane[last_y - limit[1] : last_y + limit[1] + 1, : limit[0] + 1]
    return np.ascontiguousarray(cut).view(np.complex64)[..., 0]


def _rings(bands: list[tuple[int, int]]) -> Iterator[tuple[slice, slice]]:
    """The rectangles of the coefficient plane that each band adds to the one before: its new columns, then its new rows."""
    middle = bands[-1][1]
    inner_x, inner_y = -1, -1
    for x, y in bands:
        yield slice(middle - y, middle + y + 1), slice(inner_x + 1, x + 1)
        if inner_x >= 0:
            yield slice(middle - y, middle - inner_y), slice(0, inner_x + 1)
            yield slice(middle + inner_y + 1, middle + y + 1), slice(0, inner_x + 1)
        inner_x, inner_y = x, y


def _energy(coefficients: NDArray[np.complex64]) -> float:
    """The variance of the field that these coefficients make."""
    total = 2.0 * float(np.vdot(coefficients, coefficients).real)
    edge = coefficients[:, 0]
    return total - 1.5 * float(np.vdot(edge, edge).real)


def _half_a_pixel(last: int, pixels: int) -> NDArray[np.complex64]:
    """For frequencies -last..last, the phase that moves samples from the corner to the middle of their pixels."""
    return np.asarray(np.exp(1j * np.pi / pixels * np.arange(-last, last + 1)), np.complex64)


def _amplitude(spectrum: Spectrum, limit: tuple[int, int], aspect: tuple[float, float]) -> Field:
    """The spectrum on the frequency grid; that of small canvases is kept."""
    if (2 * limit[1] + 1) * (limit[0] + 1) <= _CACHED_COEFFICIENTS:
        return _kept_amplitude(spectrum, limit, aspect)
    return _new_amplitude(spectrum, limit, aspect)


def _new_amplitude(spectrum: Spectrum, limit: tuple[int, int], aspect: tuple[float, float]) -> Field:
    """The spectrum on the frequency grid, in the layout of `_draw`."""
    fx = (np.arange(limit[0] + 1, dtype=np.float32) / np.float32(aspect[0]))[None, :]
    fy = (np.arange(-limit[1], limit[1] + 1, dtype=np.float32) / np.float32(aspect[1]))[:, None]
    cosine, sine = math.cos(spectrum.angle), math.sin(spectrum.angle)
    along = (fx * cosine + fy * sine) * spectrum.stretch
    across = fy * cosine - fx * sine
    frequency = np.sqrt(along * along + across * across)
    inside = (frequency >= spectrum.low * 0.75) & (frequency <= spectrum.high)
    return np.where(inside, np.maximum(frequency, 0.5) ** np.float32(-spectrum.slope), np.float32(0.0)).astype(np.float32)


_kept_amplitude = lru_cache(maxsize=384)(_new_amplitude)


@lru_cache(maxsize=1024)
def _beyond(spectrum: Spectrum, limit: tuple[int, int], aspect: tuple[float, float]) -> float:
    """The variance, on average, of what the spectrum holds beyond the canvas's limit, by integrating over the frequency plane.

    Counting it in makes a noise of one size the blurred noise of a larger size, instead of a stronger one.
    """
    modes = aspect[0] * aspect[1] / spectrum.stretch
    reached = math.sqrt((2 * limit[0] + 1) * (2 * limit[1] + 1) / (math.pi * modes))
    edges = np.linspace(max(spectrum.low * 0.75, reached), min(spectrum.high, HIGHEST), 513)
    if edges[0] >= edges[-1]:
        return 0.0
    middle = 0.5 * (edges[1:] + edges[:-1])
    power = np.maximum(middle, 0.5) ** (-2.0 * spectrum.slope)
    return float(np.sum(power * 2.0 * np.pi * middle * np.diff(edges)) * modes)
