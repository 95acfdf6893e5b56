"""PNG files of Krita's samples, without numpy and without Qt. Rows that were packed for the file before are not packed again: while
somebody paints, little of a picture changes. Everything here is safe on a worker thread; nothing of it should run on the host's own.
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
KINDS = {1: "B", 2: "H"}
"""Bytes of a sample -> the code of its arrays."""
BLOCK = 32
"""Rows that are turned around at a time: each step holds the interpreter, and Krita's own thread may be waiting for it."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FIRST, _LAST = b"\x78\x01", b"\x03\x00"
"""How a stream of zlib begins, and an empty last block (RFC 1950, 1951)."""
_MODULUS = 65521


@dataclass(frozen=True)
class _Band:
    """Some rows: what they were made of, their chunk, and the length and the checksum (Adler-32) of what is packed in it."""

    part: Samples
    opaque: bool
    chunk: bytes
    length: int
    sum: int


class Png:
    """Files of one size and depth (1 or 2 bytes a sample), of straight BGRA samples: RGB where all is opaque, else RGBA."""

    def __init__(self, width: int, height: int, depth: int, level: int = 1) -> None:
        self.width, self.height, self.depth = width, height, depth
        self._level = level
        self._opaque = True
        self._bands: list[_Band] = []

    def file(self, parts: Sequence[Samples]) -> bytes:
        """Parts of whole rows, one below the other, as one file. A part that is the same object as in the last file is taken from that."""
        known = {id(band.part): band for band in self._bands}
        opaque = all(known[id(part)].opaque if id(part) in known else self._is_opaque(part) for part in parts)
        if opaque != self._opaque:
            self._opaque, known = opaque, {}
        self._bands = [known.get(id(part)) or self._packed(part) for part in parts]
        total = 1
        for band in self._bands:
            total = _joined(total, band.sum, band.length)
        chunks = [_chunk(b"IDAT", _FIRST), *(band.chunk for band in self._bands), _chunk(b"IDAT", _LAST + struct.pack(">I", total))]
        return _file((self.width, self.height, 8 * self.depth, 2 if opaque else 6), chunks)

    def _packed(self, part: Samples) -> _Band:
        """A flush leaves nothing that a later band could refer to, so that bands may stand behind each other in any file."""
        packer = zlib.compressobj(self._level, zlib.DEFLATED, -zlib.MAX_WBITS)
        body, length, total = [], 0, 1
        for block in self._blocks(part):
            rows = self._turned(block)
            length, total = length + len(rows), zlib.adler32(rows, total)
            body.append(packer.compress(rows))
        body.append(packer.flush(zlib.Z_FULL_FLUSH))
        return _Band(part, self._is_opaque(part), _chunk(b"IDAT", b"".join(body)), length, total)

    def _turned(self, block: memoryview) -> bytes:
        """Rows in PNG's order of channels and bytes, each behind the number of its filter."""
        channels = 3 if self._opaque else 4
        source = array(KINDS[self.depth])
        source.frombytes(block)
        turned = array(source.typecode, bytes(len(source) // 4 * channels * self.depth))
        for place, channel in enumerate((2, 1, 0, 3)[:channels]):
            turned[place::channels] = source[channel::4]
        if self.depth == 2 and sys.byteorder == "little":
            turned.byteswap()
        return b"".join(_rows(turned.tobytes(), self.width * channels * self.depth))

    def _blocks(self, part: Samples) -> Iterator[memoryview]:
        step = BLOCK * self.width * 4 * self.depth
        return (memoryview(part)[at : at + step] for at in range(0, len(part), step))

    def _is_opaque(self, part: Samples) -> bool:
        """Whether every byte of every alpha is 255."""
        step = 4 * self.depth
        return all(
            bytes(block[step - byte :: step]).count(0xFF) == len(block) // step
            for block in self._blocks(part)
            for byte in range(1, 1 + self.depth)
        )


def mask_png(width: int, height: int, data: Samples, level: int = 1) -> bytes:
    """One byte a pixel as a grey file."""
    if len(data) != width * height:
        raise ValueError(f"a mask of {width} x {height} has {width * height} bytes, not {len(data)}")
    return _file((width, height, 8, 0), [_chunk(b"IDAT", zlib.compress(b"".join(_rows(bytes(data), width)), level))])


def _joined(first: int, second: int, length: int) -> int:
    """The Adler-32 of two texts one behind the other, from those of each and the length of the second."""
    low, high = first & 0xFFFF, first >> 16
    sums = (low + (second & 0xFFFF) - 1) % _MODULUS, (high + (second >> 16) + length * (low - 1)) % _MODULUS
    return sums[1] << 16 | sums[0]


def _rows(data: bytes, stride: int) -> Iterator[bytes]:
    """The rows, each behind the number of its filter: none, because a fast level gains nothing by another."""
    for start in range(0, len(data), stride):
        yield b"\0" + data[start : start + stride]


def _file(header: tuple[int, int, int, int], body: Sequence[bytes]) -> bytes:
    """``header``: width, height, bits, and PNG's number for the kind of pixels; ``body``: the chunks of compressed rows."""
    colours = _chunk(b"sRGB", b"\0") if header[3] else b""
    first = SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)) + colours
    return b"".join([first, *body, _chunk(b"IEND", b"")])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
