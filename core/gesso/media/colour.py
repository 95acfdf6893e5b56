"""How encoded colour and light relate: transfer curves with their inverses, in float32. It knows no file and no matrix of primaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating[Any]]


class TransferCurve(Protocol):
    """Encoded values to light and back; values outside 0..1 (high dynamic range) are carried on, odd about zero."""

    def to_linear(self, encoded: Values) -> Values:
        """Light."""
        ...

    def from_linear(self, light: Values) -> Values:
        """Encoded values."""
        ...


@dataclass(frozen=True)
class Linear:
    """Values that are light already."""

    def to_linear(self, encoded: Values) -> Values:
        """The same."""
        return encoded

    def from_linear(self, light: Values) -> Values:
        """The same."""
        return light


@dataclass(frozen=True)
class Srgb:
    """IEC 61966-2-1."""

    def to_linear(self, encoded: Values) -> Values:
        """Light, by the two-part curve."""
        size = np.abs(encoded)
        return np.sign(encoded) * np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)

    def from_linear(self, light: Values) -> Values:
        """Encoded values, by the two-part curve."""
        size = np.abs(light)
        return np.sign(light) * np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)


@dataclass(frozen=True)
class Gamma:
    """A plain power."""

    exponent: float

    def to_linear(self, encoded: Values) -> Values:
        """Light."""
        return np.sign(encoded) * np.abs(encoded) ** self.exponent

    def from_linear(self, light: Values) -> Values:
        """Encoded values."""
        return np.sign(light) * np.abs(light) ** (1 / self.exponent)
