"""Samples as Krita keeps them, turned into what the daemon reads and back: orders of channels and PNG files, without numpy and without Qt.

Everything here is safe on a worker thread; nothing of it should run on the host's own.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union

Samples = Union[bytes, bytearray, memoryview]
_KINDS = {1: "B", 2: "H"}
_BLOCK = 32
"""Rows that are turned around at a time."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """Straight BGRA samples as Krita gives and takes them; ``depth`` is the bytes of one sample, 1 or 2."""

    width: int
    height: int
    depth: int
    data: Samples

    def __post_init__(self) -> None:
        wanted = self.width * self.height * 4 * self.depth
        if len(self.data) != wanted:
            raise ValueError(f"a picture of {self.width} x {self.height} has {wanted} bytes, not {len(self.data)}")

    def png(self, level: int = 1) -> bytes:
        """The picture as a file: RGB where it is opaque, else RGBA, with 8 or 16 bits."""
        return png(self.width, self.height, self.depth, [self.data], level)


def png(width: int, height: int, depth: int, parts: Sequence[Samples], level: int = 1) -> bytes:
    """Parts of whole rows, one below the other, as one file. They are turned around a few rows at a time: each step holds the interpreter,
    and Krita's own thread may be waiting for it.
    """
    stride = width * 4 * depth
    blocks = [memoryview(part)[at : at + _BLOCK * stride] for part in parts for at in range(0, len(part), _BLOCK * stride)]
    opaque = all(_opaque(block, depth) for block in blocks)
    channels, kind = (3, 2) if opaque else (4, 6)
    packer = zlib.compressobj(level)
    body = []
    for block in blocks:
        source = array(_KINDS[depth])
        source.frombytes(block)
        rgb = array(source.typecode, bytes(len(source) // 4 * channels * depth))
        for place, channel in enumerate((2, 1, 0, 3)[:channels]):
            rgb[place::channels] = source[channel::4]
        if depth == 2 and sys.byteorder == "little":
            rgb.byteswap()
        body.append(packer.compress(b"".join(_rows(rgb.tobytes(), width * channels * depth))))
    return _file((width, height, 8 * depth, kind), b"".join(body) + packer.flush())


def _opaque(block: memoryview, depth: int) -> bool:
    """Whether every byte of every alpha is 255."""
    step = 4 * depth
    return all(bytes(block[step - byte :: step]).count(0xFF) == len(block) // step for byte in range(1, 1 + depth))


def mask_png(width: int, height: int, data: Samples, level: int = 1) -> bytes:
    """One byte a pixel as a grey file."""
    if len(data) != width * height:
        raise ValueError(f"a mask of {width} x {height} has {width * height} bytes, not {len(data)}")
    return _file((width, height, 8, 0), zlib.compress(b"".join(_rows(bytes(data), width)), level))


def picture(plane: memoryview) -> Picture:
    """A plane of the daemon (height x width x 1, 3 or 4 channels, uint8 or uint16) as Krita takes it."""
    height, width, channels = plane.shape or (0, 0, 0)
    depth, flat = plane.itemsize, plane.cast("B")
    step = _BLOCK * width * channels * depth
    return Picture(width, height, depth, b"".join(_turned(flat[at : at + step], channels, depth) for at in range(0, len(flat), step)))


def sampled(plane: memoryview, most: int) -> Picture:
    """A plane as `picture` gives it, of at most ``most`` pixels a side: every n-th pixel of every n-th row. Other rows are not read, and of
    a plane that is a mapped file no more than their pages leaves the disk.
    """
    height, width, channels = plane.shape or (0, 0, 0)
    depth, flat = plane.itemsize, plane.cast("B")
    step, stride = max(1, -(-max(width, height) // most)), width * channels * depth
    rows = [_turned(flat[y * stride : (y + 1) * stride], channels, depth, step) for y in range(0, height, step)]
    return Picture(-(-width // step), len(rows), depth, b"".join(rows))


def _turned(block: memoryview, channels: int, depth: int, step: int = 1) -> bytes:
    """Some rows of a plane as BGRA; with a step one row, and every ``step``-th pixel of it."""
    source = array(_KINDS[depth])
    source.frombytes(block)
    stride = channels * step
    pixels = array(source.typecode, b"\xff" * (-(-len(source) // stride) * 4 * depth))
    for channel, place in enumerate((2, 1, 0)):
        pixels[place::4] = source[(channel if channels >= 3 else 0) :: stride]
    if channels in (2, 4):
        pixels[3::4] = source[channels - 1 :: stride]
    return pixels.tobytes()


def trimmed(whole: Picture) -> tuple[int, int, Picture]:
    """(x, y, what is left) without the rows and columns at the edges that are wholly transparent; one pixel where all is."""
    step, width = 4 * whole.depth, whole.width
    data = bytes(whole.data)
    inked = []
    for y in range(whole.height):
        row = data[y * width * step : (y + 1) * width * step]
        alphas = [row[step - byte :: step] for byte in range(1, 1 + whole.depth)]
        if any(alpha.count(0) < width for alpha in alphas):
            inked.append((y, min(width - len(alpha.lstrip(b"\0")) for alpha in alphas), max(len(alpha.rstrip(b"\0")) for alpha in alphas)))
    if not inked:
        return 0, 0, Picture(1, 1, whole.depth, bytes(step))
    left, right, top = min(first for _, first, _ in inked), max(last for _, _, last in inked), inked[0][0]
    kept = (data[(y * width + left) * step : (y * width + right) * step] for y in range(top, inked[-1][0] + 1))
    return left, top, Picture(right - left, inked[-1][0] + 1 - top, whole.depth, b"".join(kept))


def _rows(data: bytes, stride: int) -> Iterator[bytes]:
    """The rows, each behind the number of its filter: none, because a fast level gains nothing by another."""
    for start in range(0, len(data), stride):
        yield b"\0" + data[start : start + stride]


def _file(header: tuple[int, int, int, int], body: bytes) -> bytes:
    """``header``: width, height, bits, and PNG's number for the kind of pixels; ``body``: compressed rows."""
    colours = _chunk(b"sRGB", b"\0") if header[3] else b""
    return SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)) + colours + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
