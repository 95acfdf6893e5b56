"""Collects what is copied into a host: the client, the parts that bridges share, the bridge itself, all inside one package of the bridge's
own, so that two bridges in one process never meet. Imports of `gesso` become relative on the way; nothing else is changed.
"""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from gesso.errors import PluginError

CLIENT = ("__init__.py", "errors.py", "wire", "client")
"""What of `gesso` runs in a host: the standard library and Python 3.9 are enough for it."""

AT_HOME = ("/host.py", ".tmpl")
"""What of a bridge is for `gesso bridge` alone: how its host is found, and templates of files that are written anew."""

_IMPORT = re.compile(rb"^(\s*)from gesso((?:\.\w+)*) import ", re.MULTILINE)
_FOREIGN = re.compile(rb"^\s*(?:import gesso\b|from gesso_bridges\b|import gesso_bridges\b)", re.MULTILINE)


def package(name: str, bridge: str) -> dict[str, bytes]:
    """``NAME/gesso/``, ``NAME/panel/`` and ``NAME/BRIDGE/``; the host adds ``NAME/__init__.py`` and what else it needs."""
    gesso = resources.files("gesso")
    found = {f"{name}/gesso/{path}": data for part in CLIENT for path, data in _read(gesso / part, part)}
    for part in ("panel", bridge):
        for path, data in _read(resources.files("gesso_bridges") / part, part):
            if not path.endswith(AT_HOME):
                found[f"{name}/{path}"] = relative(f"{name}/{path}", data)
    return found


def relative(path: str, data: bytes) -> bytes:
    """A module with its imports of ``gesso`` made relative to the package's top; raises PluginError for one that cannot be."""
    if not path.endswith(".py"):
        return data
    if _FOREIGN.search(data):
        raise PluginError(f"{path} cannot be copied into a host: it imports by `import gesso` or `gesso_bridges`.")
    dots = b"." * (len(PurePosixPath(path).parts) - 1)
    return _IMPORT.sub(rb"\1from " + dots + rb"gesso\2 import ", data)


def _read(entry: Traversable, path: str) -> list[tuple[str, bytes]]:
    """Every file below, but what Python compiled."""
    if entry.is_file():
        return [(path, entry.read_bytes())]
    inside = sorted((child for child in entry.iterdir() if child.name != "__pycache__"), key=lambda child: child.name)
    return [file for child in inside for file in _read(child, f"{path}/{child.name}")]
