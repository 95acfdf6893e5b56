"""Files written atomically: beside their place first, then renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gesso.errors import StorageFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file or folder, then put it in the place of `path`. Where that fails, what was there stays as it is;
    StorageFull where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _remove(temporary)
    try:
        write(temporary)
    except BaseException as fault:
        _remove(temporary)
        if isinstance(fault, OSError) and fault.errno in _NO_ROOM:
            hint = "Free some space, then go on from there: what was saved before is whole."
            raise StorageFull(f"There is no room left to write {path}.", hint=hint) from fault
        raise
    if path.is_dir():
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        _remove(old)
        path.rename(old)
        temporary.rename(path)
        _remove(old)
    else:
        temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_atomically(path, lambda temporary: _dump(temporary, value))


def write_text(path: Path, text: str) -> None:
    """Write lines of text atomically."""
    write_atomically(path, lambda temporary: _lay(temporary, text))


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text())


def _dump(path: Path, value: Any) -> None:
    _lay(path, json.dumps(value, indent=2, sort_keys=True))


def _lay(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
