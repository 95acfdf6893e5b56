"""The black box: a small mapped file that says which jobs a worker was computing, readable after the worker died of
anything. It is no log: only the last mark counts, and it needs no fsync because the page cache outlives a process.

Two slots and one selector byte: the idle slot is filled first and the selector flipped last, so that a death between any
two stores leaves an intact record behind.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

_MAGIC = b"GESSOBB1"
_SELECTOR = len(_MAGIC)
_FIRST_SLOT = 64
_SLOT_BYTES = 16 * 1024
_FILE_BYTES = _FIRST_SLOT + 2 * _SLOT_BYTES
_HEAD = struct.Struct("<II")  # length, CRC-32


class BlackBox:
    """Writer and reader of one black box file; one writer (the worker's engine thread) at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _FILE_BYTES)
            self._map = mmap.mmap(descriptor, _FILE_BYTES)
        finally:
            os.close(descriptor)
        self._active = 0
        self._map[: len(_MAGIC)] = _MAGIC
        self.clear()

    def mark(self, ids: Sequence[str]) -> None:
        """Name the jobs whose code or whose forward runs next; ValueError if they do not fit (over about 490 ids of 32 characters)."""
        body = "\n".join(ids).encode()
        if _HEAD.size + len(body) > _SLOT_BYTES:
            raise ValueError(f"{len(ids)} job ids take {len(body)} bytes; the black box holds {_SLOT_BYTES - _HEAD.size}.")
        idle = 1 - self._active
        start = _FIRST_SLOT + idle * _SLOT_BYTES
        self._map[start : start + _HEAD.size + len(body)] = _HEAD.pack(len(body), zlib.crc32(body)) + body
        self._map[_SELECTOR] = idle
        self._active = idle

    def clear(self) -> None:
        """Nothing of any job runs now."""
        self.mark(())

    def close(self) -> None:
        """Unmap the file and leave it for the reader."""
        self._map.close()

    @staticmethod
    def read(path: Path) -> tuple[str, ...]:
        """The ids of the last mark; empty where there is no file, or none that can be read."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return ()
        if len(raw) != _FILE_BYTES or not raw.startswith(_MAGIC):
            return ()
        start = _FIRST_SLOT + (raw[_SELECTOR] & 1) * _SLOT_BYTES
        length, crc = _HEAD.unpack_from(raw, start)
        body = raw[start + _HEAD.size : start + _HEAD.size + min(length, _SLOT_BYTES)]
        if len(body) != length or zlib.crc32(body) != crc or not body:
            return ()
        return tuple(body.decode("utf-8", "replace").split("\n"))
