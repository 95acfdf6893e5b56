"""One daemon a state directory: an flock that the kernel frees when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from gesso.errors import AlreadyRunning

_GLANCE, _LEAVING, _PAUSE = 0.2, 12.0, 0.02


class Lock:
    """Held from construction until `release`; AlreadyRunning if somebody else holds it. The file stays, and names the holder's pid.

    ``published``: whether a living daemon says that it runs; one that does not yet, or no longer, is waited for.
    """

    def __init__(self, path: Path, published: Callable[[], bool]) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._take(published)
        except BlockingIOError as fault:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunning(
                f"A daemon already runs on this state directory (process {holder or 'unknown'}).",
                hint="Use it, or end it with `gesso stop`.",
                details={"pid": int(holder) if holder.isdigit() else None},
            ) from fault
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _take(self, published: Callable[[], bool]) -> None:
        """Clients that look whether a daemon lives hold the lock for an instant (`discovery.is_owned`), and a daemon that leaves has
        taken back what it published: both are waited out.
        """
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                waited = time.monotonic() - began
                if waited > _LEAVING or (waited > _GLANCE and published()):
                    raise
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Let the next daemon in."""
        os.close(self._descriptor)
