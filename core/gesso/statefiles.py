"""Small JSON files that the owner's commands write and running processes read: one writer at a time, each file whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Stamp = tuple[int, int]


def write(path: Path, content: Any) -> None:
    """Put a file there at once; readers see the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, path)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The only writer of this folder within the context."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def stamp(path: Path) -> Stamp | None:
    """What differs once the file has been written again; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
