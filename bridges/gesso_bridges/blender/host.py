# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this user's Blenders keep their add-ons, and which files belong there. It runs outside of Blender and never imports `bpy`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from gesso import __version__
from gesso.manifest import first_party
from gesso_bridges import vendor
from gesso_bridges.hosts import Installation

PACKAGE = "gesso_blender"
FIRST = (3, 4)
EXTENSIONS = (4, 2)
"""The first version that installs extensions rather than add-ons."""
_VERSION = re.compile(r"(?:Blender )?(\d+)\.(\d+)")
_ASKING_SECONDS = 20.0


class Blender:
    """Every Blender from 3.4 on, from the same files."""

    title = "Blender"
    hint = 'In Blender turn it on under Edit > Preferences > Add-ons: "Gesso". Its panel is in the sidebar (N) of 3D View and Image Editor.'
    program = "install Blender 3.4 or later"

    def installations(self, environ: Mapping[str, str]) -> list[Installation]:
        """Versions that have been started once, and the one that `blender` on the path would start."""
        found = dict(_started(environ))
        asked = _on_the_path(environ)
        if asked is not None:
            found.setdefault(asked, _resources(environ, asked))
        return [
            Installation(f"Blender {major}.{minor}", _addons(environ, root, (major, minor)))
            for (major, minor), root in sorted(found.items())
            if (major, minor) >= FIRST
        ]

    def files(self) -> dict[str, bytes]:
        """The package, with the schemas of this version so that the panel draws before any daemon has answered."""
        here = resources.files("gesso_bridges") / "blender"
        numbers = ", ".join(re.findall(r"\d+", __version__)[:3])
        own = {
            "__init__.py": (here / "addon.py.tmpl").read_text(encoding="utf-8").replace("@TUPLE@", numbers),
            "blender_manifest.toml": (here / "blender_manifest.toml.tmpl").read_text(encoding="utf-8").replace("@VERSION@", __version__),
            "operations.json": first_party().operations_file.read_text(encoding="utf-8"),
        }
        return {**vendor.package(PACKAGE, "blender"), **{f"{PACKAGE}/{name}": text.encode() for name, text in own.items()}}

    def packed_name(self) -> str:
        """The zip that Blender installs, as an extension or as an add-on."""
        return f"{PACKAGE}-{__version__}.zip"


def _root(environ: Mapping[str, str]) -> Path:
    """The folder with one folder for each version that has been started."""
    user = Path(environ.get("HOME") or Path.home())
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or user / "AppData" / "Roaming") / "Blender Foundation" / "Blender"
    if sys.platform == "darwin":
        return user / "Library" / "Application Support" / "Blender"
    return Path(environ.get("XDG_CONFIG_HOME") or user / ".config") / "blender"


def _resources(environ: Mapping[str, str], version: tuple[int, int]) -> Path:
    given = environ.get("BLENDER_USER_RESOURCES")
    return Path(given) if given else _root(environ) / f"{version[0]}.{version[1]}"


def _started(environ: Mapping[str, str]) -> Iterator[tuple[tuple[int, int], Path]]:
    root = _root(environ)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        version = _VERSION.fullmatch(folder.name)
        if version is not None and folder.is_dir():
            yield (int(version[1]), int(version[2])), folder


def _on_the_path(environ: Mapping[str, str]) -> tuple[int, int] | None:
    program = shutil.which("blender", path=environ.get("PATH"))
    if program is None:
        return None
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_ASKING_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # what cannot tell its version cannot be served either
    version = _VERSION.search(told)
    return None if version is None else (int(version[1]), int(version[2]))


def _addons(environ: Mapping[str, str], root: Path, version: tuple[int, int]) -> Path:
    if version >= EXTENSIONS:
        return Path(environ.get("BLENDER_USER_EXTENSIONS") or root / "extensions") / "user_default"
    return Path(environ.get("BLENDER_USER_SCRIPTS") or root / "scripts") / "addons"
