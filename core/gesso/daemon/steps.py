"""Named instants of everything durable (before and after each commit, write, rename, send), where the tests kill the
front or fill the disk.

In a running daemon nobody listens and `reached` costs one comparison. This is no event bus.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES = (
    "journal.begin",
    "journal.commit",
    "journal.committed",
    "blob.write",
    "blob.fsync",
    "blob.rename",
    "blob.renamed",
    "accepted.send",
    "accepted.sent",
    "lease.send",
    "lease.sent",
    "go.send",
    "finished.received",
    "terminal.send",
    "terminal.sent",
    "discovery.write",
)
_listener: Callable[[str], None] | None = None


def listen(listener: Callable[[str], None] | None) -> None:
    """Have ``listener`` called at every step; it may end the process or raise OSError as a full disk would."""
    global _listener  # noqa: PLW0603 - one process, one listener, set before the daemon starts
    _listener = listener


def reached(name: str) -> None:
    """The front is at this step."""
    if _listener is not None:
        _listener(name)
