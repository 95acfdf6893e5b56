"""Every place where this user's Gesso keeps something, with its size: what `gesso storage` shows and `gesso uninstall` removes. It
removes nothing itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gesso.errors import UnsafeState
from gesso.wire.home import Home


@dataclass(frozen=True)
class Place:
    """A file or folder of ours that exists."""

    name: str
    path: Path
    what: str
    size: int


def places(home: Home) -> list[Place]:
    """What there is, in the order in which people ask for it."""
    known = (
        ("pictures", home.blobs, "results and inputs of jobs, by their hash"),
        ("uploads", home.incoming, "uploads under way"),
        ("journal", home.journal, "every job"),
        ("replay", home.state / "replay", "steps of running jobs"),
        ("models", home.models, "models that you added"),
        ("plugins", home.plugins, "plugins that you added"),
        ("logs", home.logs, "logs of daemon and worker"),
        ("settings", home.config_file, "your settings"),
        ("keys", home.keys, "keys: yours, and those of others that may come in"),
        ("runtime", home.runtime, "sockets and daemon.json"),
        ("state", home.state, "locks, and whatever else lies there"),
        ("sockets", _short(home), "sockets that would be too deep elsewhere"),
    )
    found: list[Place] = []
    for name, path, what in known:
        if path is None or not os.path.lexists(path):
            continue
        inside = {other.path for other in found} | {other for _, other, _ in known if other is not None and other != path}
        found.append(Place(name, path, what, sum(_sizes(path, inside))))
    return found


def _short(home: Home) -> Path | None:
    try:
        folder = home.socket_path().parent
    except UnsafeState:
        return None
    return None if folder == home.runtime else folder


def _sizes(path: Path, apart: set[Path]) -> Iterator[int]:
    """Bytes of the files below, but for places that are counted apart; the journal's own side files count with it."""
    if not path.is_dir() or path.is_symlink():
        for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            if os.path.lexists(file):
                yield file.lstat().st_size
        return
    for folder, names, files in os.walk(path):
        names[:] = [name for name in names if Path(folder, name) not in apart]
        for name in files:
            file = Path(folder, name)
            if file in apart or name.startswith("journal.sqlite"):
                continue
            try:
                yield file.lstat().st_size
            except FileNotFoundError:
                continue  # a running daemon has removed it meanwhile
