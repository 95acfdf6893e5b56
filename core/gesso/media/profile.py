"""Colour profiles with a matrix and transfer curves (ICC.1:2022, section 8.3): to sRGB and back in float32, without loss of depth.

Profiles that are tables (LUT) are told apart, and left to littleCMS, which works in 8 bits.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.errors import InvalidRequest
from gesso.media.colour import Gamma, Linear, Srgb, TransferCurve

Values = npt.NDArray[np.floating[Any]]
Matrix = npt.NDArray[np.float64]

SRGB_TO_XYZ: Matrix = np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]])
"""sRGB's primaries adapted to D50 (Bradford), as profiles state them."""
COLUMNS = ("rXYZ", "gXYZ", "bXYZ")
CURVES = ("rTRC", "gTRC", "bTRC")
LARGEST = 4 * 2**20


@dataclass(frozen=True)
class Table:
    """A sampled transfer curve; beyond 0..1 it goes on with its last slope."""

    samples: npt.NDArray[np.float64]

    def to_linear(self, encoded: Values) -> Values:
        """Light, by linear interpolation."""
        return _interpolated(encoded, np.linspace(0, 1, len(self.samples)), self.samples)

    def from_linear(self, light: Values) -> Values:
        """Encoded values, by linear interpolation of the inverse."""
        return _interpolated(light, *self._inverse)

    @cached_property
    def _inverse(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        light, first = np.unique(np.maximum.accumulate(self.samples), return_index=True)
        return light, np.linspace(0, 1, len(self.samples))[first]


@dataclass(frozen=True)
class Parametric:
    """y = (a x + b)^g + e for x >= d, else c x + f (ICC.1:2022, table 68), odd about zero."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = -1.0
    e: float = 0.0
    f: float = 0.0

    def to_linear(self, encoded: Values) -> Values:
        """Light."""
        size = np.abs(encoded)
        light = np.where(size >= self.d, np.maximum(self.a * size + self.b, 0) ** self.g + self.e, self.c * size + self.f)
        return np.copysign(light, encoded)  # black too has the curve's offset

    def from_linear(self, light: Values) -> Values:
        """Encoded values."""
        size = np.abs(light)
        edge = max(self.a * self.d + self.b, 0) ** self.g + self.e if self.d > 0 else -np.inf
        curved = (np.maximum(size - self.e, 0) ** (1 / self.g) - self.b) / self.a
        straight = (size - self.f) / self.c if self.c else np.zeros_like(size)
        return np.sign(light) * np.where(size >= edge, curved, straight)


@dataclass(frozen=True)
class Profile:
    """The space of a document: a curve for each channel, primaries as columns of a matrix to D50 XYZ, and the file's own bytes.

    ``matrix`` is None where the profile is a table; such a document is converted by littleCMS in 8 bits.
    """

    curves: tuple[TransferCurve, TransferCurve, TransferCurve]
    matrix: Matrix | None
    icc: bytes | None = None
    name: str = "sRGB"

    @property
    def is_srgb(self) -> bool:
        """Whether values need no conversion to be sRGB."""
        primaries = self.matrix is not None and np.array_equal(self.matrix, SRGB_TO_XYZ)
        return primaries and all(isinstance(curve, Srgb) for curve in self.curves)

    def to_linear(self, encoded: Values) -> Values:
        """Light in the document's own primaries; values (..., 3)."""
        return np.stack([curve.to_linear(encoded[..., c]) for c, curve in enumerate(self.curves)], -1)

    def from_linear(self, light: Values) -> Values:
        """Encoded values (..., 3) of light in the document's own primaries."""
        return np.stack([curve.from_linear(light[..., c]) for c, curve in enumerate(self.curves)], -1)

    def to_srgb(self, encoded: Values) -> npt.NDArray[np.float32]:
        """Values (..., 3) of sRGB, float32, not clipped."""
        if self.is_srgb:
            return np.asarray(encoded, np.float32)
        return np.asarray(Srgb().from_linear(_mixed(self.to_linear(encoded), np.linalg.inv(SRGB_TO_XYZ) @ self._matrix)), np.float32)

    def from_srgb(self, values: Values) -> npt.NDArray[np.float32]:
        """The document's values (..., 3) of sRGB values, float32, not clipped."""
        if self.is_srgb:
            return np.asarray(values, np.float32)
        return np.asarray(self.from_linear(_mixed(Srgb().to_linear(values), np.linalg.inv(self._matrix) @ SRGB_TO_XYZ)), np.float32)

    @property
    def _matrix(self) -> Matrix:
        if self.matrix is None:
            raise ValueError(f"the profile {self.name!r} is a table, which has no matrix: convert with littleCMS")
        return self.matrix


SRGB = Profile((Srgb(), Srgb(), Srgb()), SRGB_TO_XYZ)
LINEAR = Profile((Linear(), Linear(), Linear()), SRGB_TO_XYZ, name="linear sRGB")


def read_profile(icc: bytes | None, field: str = "image") -> Profile:
    """The profile in a file; sRGB where there is none. Raises InvalidRequest for one that is damaged or not of RGB or grey."""
    if not icc:
        return SRGB
    try:
        if len(icc) > LARGEST or len(icc) < 132 or icc[36:40] != b"acsp":
            raise ValueError("it does not begin as a profile does")
        space = icc[16:20].decode("latin-1").strip()
        if space not in ("RGB", "GRAY"):
            said = f"The {field} has {space} colours, and Gesso works in RGB and grey."
            raise InvalidRequest(said, field=field, hint="Convert a copy to RGB.")
        tags = _tags(icc)
        name = _description(tags.get("desc", b""))
        if space == "GRAY":
            curve = _curve(tags["kTRC"])
            return Profile((curve, curve, curve), SRGB_TO_XYZ, icc, name)
        if not all(tag in tags for tag in (*COLUMNS, *CURVES)):
            return Profile((Srgb(), Srgb(), Srgb()), None, icc, name)
        red, green, blue = (_curve(tags[tag]) for tag in CURVES)
        matrix = np.array([_xyz(tags[tag]) for tag in COLUMNS]).T
        if abs(np.linalg.det(matrix)) < 1e-6:
            raise ValueError("its primaries lie on a line")
        return Profile((red, green, blue), SRGB_TO_XYZ if np.abs(matrix - SRGB_TO_XYZ).max() < 2e-3 else matrix, icc, name)
    except (ValueError, KeyError, IndexError, struct.error) as fault:
        raise InvalidRequest(
            f"The colour profile of the {field} is damaged: {fault}.", field=field, hint="Save the picture without it, or with another."
        ) from fault


def through_littlecms(pixels: npt.NDArray[np.uint8], icc: bytes, *, back: bool) -> npt.NDArray[np.uint8]:
    """8-bit RGB (H, W, 3) from the space of a table profile to sRGB, or back."""
    from PIL import Image, ImageCms

    theirs, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    source, target = (srgb, theirs) if back else (theirs, srgb)
    made = ImageCms.profileToProfile(Image.fromarray(pixels), source, target, outputMode="RGB")
    assert made is not None
    return np.asarray(made)


def _tags(icc: bytes) -> dict[str, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    if count > 200:
        raise ValueError(f"it claims {count} tags")
    tags = {}
    for number in range(count):
        name, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * number)
        if offset + size > len(icc):
            raise ValueError(f"its tag {name.decode('latin-1')} lies outside of it")
        tags[name.decode("latin-1")] = icc[offset : offset + size]
    return tags


def _xyz(tag: bytes) -> tuple[float, float, float]:
    x, y, z = struct.unpack_from(">3i", tag, 8)
    return x / 65536, y / 65536, z / 65536


def _curve(tag: bytes) -> TransferCurve:
    kind = tag[:4]
    if kind == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return Linear()
        values = np.frombuffer(tag, ">u2", count, 12)
        return _known(Gamma(float(values[0]) / 256) if count == 1 else Table(values / 65535.0))
    if kind == b"para":
        (shape,) = struct.unpack_from(">H", tag, 8)
        amounts = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[shape]
        g, *rest = (value / 65536 for value in struct.unpack_from(f">{amounts}i", tag, 12))
        return _known(_parametric(shape, g, rest))
    raise ValueError(f"it has a curve of the unknown kind {kind!r}")


def _parametric(shape: int, g: float, rest: list[float]) -> TransferCurve:
    if shape == 0:
        return Gamma(g)
    a, b = rest[:2]
    if shape < 3:
        e = rest[2] if shape == 2 else 0.0
        return Parametric(g, a, b, 0.0, -b / a, e, e)
    c, d = rest[2:4]
    e, f = rest[4:6] if shape == 4 else (0.0, 0.0)
    return Parametric(g, a, b, c, d, e, f)


def _known(curve: TransferCurve) -> TransferCurve:
    """The curve of sRGB where a curve is no further from it than 16 bits of a fixed-point number are."""
    x = np.linspace(0, 1, 257)
    return Srgb() if np.abs(curve.to_linear(x) - Srgb().to_linear(x)).max() < 3e-4 else curve


def _description(tag: bytes) -> str:
    if tag[:4] == b"mluc":
        length, offset = struct.unpack_from(">II", tag, 20)
        return tag[offset : offset + length].decode("utf-16-be", "replace")[:100]
    if tag[:4] == b"desc":
        (length,) = struct.unpack_from(">I", tag, 8)
        return tag[12 : 12 + max(0, length - 1)].decode("latin-1")[:100]
    return "without a name"


def _mixed(light: Values, matrix: Matrix) -> Values:
    return np.asarray(light @ matrix.T)


def _interpolated(values: Values, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Values:
    inside = np.interp(values, x, y)
    low, high = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
    return np.where(values < x[0], y[0] + (values - x[0]) * low, np.where(values > x[-1], y[-1] + (values - x[-1]) * high, inside))
