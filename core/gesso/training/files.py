"""Files written atomically: beside their place first, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file or folder, then put it in the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _remove(temporary)
    write(temporary)
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


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text())


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
