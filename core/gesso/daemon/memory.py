"""Keeps the front's memory under a ceiling. libzmq bounds frames, not messages: an authorised peer could send one that never ends.

The connection that has sent most without a whole message is ended; nothing that was accepted is lost, and its client connects again. Should
that not be enough, the kernel refuses the front more memory (`RLIMIT_DATA`), and libzmq drops whoever it was for. Linux only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gesso.daemon.sockets import FrontSocket

_log = logging.getLogger(__name__)
_PERIOD = 0.1
_BREATH = 5  # periods in which what was freed may leave before anybody else is ended
_LEAST = 32 << 20  # bytes on their way that nobody is ended for: a client may have 16 messages under way
_HARD = 4  # times the ceiling


class Guard:
    """Looks ten times a second; ``limit`` gives the ceiling in bytes."""

    def __init__(self, sockets: Sequence[FrontSocket], limit: Callable[[], int]) -> None:
        self._sockets = sockets
        self._limit = limit
        self._breath = 0
        self.ended = 0

    async def run(self) -> None:
        """For as long as the front lives."""
        if sys.platform != "linux":
            return
        with Path("/proc/self/statm").open("rb") as file:
            while True:
                await asyncio.sleep(_PERIOD)
                resident = int(os.pread(file.fileno(), 64, 0).split()[1]) * resource.getpagesize()
                self.check(resident)

    def check(self, resident: int) -> None:
        """End connections where ``resident`` bytes are too many."""
        if self._breath:
            self._breath -= 1
            if not self._breath:
                _give_back()
            return
        if resident <= self._limit():
            return
        ended = sum(socket.connections.cut_heaviest(_LEAST) for socket in self._sockets)
        self.ended += ended
        self._breath = _BREATH
        _log.warning("the front takes too much memory; connections were ended", extra={"mib": resident >> 20, "connections": ended})


def resident(pid: int) -> int | None:
    """Bytes of a process in memory, or None where that cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return None


def bound(limit: int) -> None:
    """The last resort, for this process and none of its children: `unbound` takes it from a worker."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (limit * _HARD, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def unbound(pid: int) -> None:
    """A worker holds models: what bounds the front is not for it."""
    if sys.platform == "linux":
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.prlimit(pid, resource.RLIMIT_DATA, (most, most))


def _give_back() -> None:
    """Let the allocator return what it keeps for later."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
