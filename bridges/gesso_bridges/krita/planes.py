"""Samples as Krita keeps them, made of the daemon's planes, and pictures of them: without numpy and without Qt.

Everything here is safe on a worker thread; nothing of it should run on the host's own.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from .pngfile import BLOCK, KINDS, Png, Samples


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
        return Png(self.width, self.height, self.depth, level).file([self.data])


def picture(plane: memoryview) -> Picture:
    """A plane of the daemon (height x width x 1, 3 or 4 channels, uint8 or uint16) as Krita takes it."""
    height, width, channels = plane.shape or (0, 0, 0)
    depth, flat = plane.itemsize, plane.cast("B")
    step = BLOCK * width * channels * depth
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
    source = array(KINDS[depth])
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
