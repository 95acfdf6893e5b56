"""What of a region changed since it was last looked at: a strip a tick, hashed, near the last change first. It knows no host."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from .boxes import Box

STRIP_PIXELS = 65536
"""Pixels that one tick may read: a quarter of a megabyte of eight-bit samples, about a millisecond."""
TICK_MS, REST, LONGEST_MS = 20, 4, 500


def pause(took: float) -> int:
    """Milliseconds until the next tick, after one of so many seconds: one that took long leaves the brush four times as long to itself."""
    return min(max(TICK_MS, int(1000 * REST * took)), LONGEST_MS)


class Strips:
    """A region cut into strips over its whole width. Every strip is read in turn; every other tick is for the surroundings of the last
    change, where the brush is. ``keep`` makes of a strip that changed what `data` then has.
    """

    def __init__(
        self,
        box: Box,
        read: Callable[[Box], bytes],
        keep: Callable[[Box, bytes], bytes] = lambda _, data: data,
        pixels: int = STRIP_PIXELS,
    ) -> None:
        self._read, self._keep = read, keep
        rows = max(1, pixels // max(1, box.width))
        self.boxes = [Box(box.x, y, box.width, min(rows, box.bottom - y)) for y in range(box.y, box.bottom, rows)]
        self.data: list[bytes] = [b""] * len(self.boxes)
        self._hashes: list[int | None] = [None] * len(self.boxes)
        self._turn = 0
        self._near: list[int] = []
        self._hot = False

    @property
    def complete(self) -> bool:
        """Whether every strip has been read."""
        return None not in self._hashes

    @property
    def mark(self) -> int:
        """The same for the same pixels: the hash of all that was read last."""
        return zlib.crc32(repr(self._hashes).encode())

    def tick(self) -> bool:
        """Read one strip; whether it differs from what it was."""
        place = self._next()
        data = self._read(self.boxes[place])
        digest = zlib.crc32(data)
        if digest == self._hashes[place]:
            return False
        first = self._hashes[place] is None
        self._hashes[place], self.data[place] = digest, self._keep(self.boxes[place], data)
        if not first:
            around = (place, place - 1, place + 1)
            self._near = [number for number in around if 0 <= number < len(self.boxes)] * 2
        return True

    def _next(self) -> int:
        self._hot = not self._hot
        if self._hot and self._near and self.complete:
            return self._near.pop(0)
        place = self._turn
        self._turn = (self._turn + 1) % len(self.boxes)
        return place
