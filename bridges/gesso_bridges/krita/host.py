"""Krita as `gesso bridge` knows it: where its plugins lie, and which files the bridge needs there. It is not copied into Krita."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from gesso_bridges import vendor
from gesso_bridges.hosts import Installation
from gesso_bridges.krita import actions

NAME = "gesso_krita"
"""The plugin's name in Krita: it may not be that of a package which somebody else could put on Krita's path."""
INIT = '''"""Gesso in Krita. This file was put here by `gesso bridge`; it registers the docker and the actions."""

from .krita.plugin import register

register()
'''
DESKTOP = """[Desktop Entry]
Type=Service
ServiceTypes=Krita/PythonPlugin
X-KDE-Library=gesso_krita
X-Python-2-Compatible=false
Name=Gesso
Comment=Pictures from words, painted into what is selected: the bridge to the Gesso daemon on this machine
"""


class Krita:
    """Krita 5.1 and later."""

    title = "Krita"
    hint = (
        "In Krita: Settings, Configure Krita, Python Plugin Manager, tick Gesso, restart Krita; "
        "then Settings, Dockers, Gesso. A packed file goes in by Tools, Scripts, Import Python Plugin from File."
    )
    program = "install Krita 5.1 or newer"

    def installations(self, environ: Mapping[str, str]) -> list[Installation]:
        """Every Krita that has been started once, since its folder for resources is there then, and the one on the path."""
        folders = _folders(environ)
        here = folders[:1] if shutil.which("krita", path=environ.get("PATH")) else []
        found = [Installation(title, folder) for title, folder in folders if folder.is_dir() or (title, folder) in here]
        return list({place.folder: place for place in found}.values())

    def files(self) -> dict[str, bytes]:
        """The plugin's folder, the file beside it that tells Krita of it, and the actions with their keys."""
        plugin = {**vendor.package(NAME, "krita"), f"{NAME}/__init__.py": INIT.encode(), f"{NAME}.desktop": DESKTOP.encode()}
        found = {f"pykrita/{path}": data for path, data in plugin.items()}
        return {**found, f"actions/{NAME}.action": actions.collection().encode()}

    def packed_name(self) -> str:
        """The zip file for Krita's own importer of plugins."""
        return "gesso-krita.zip"


def _folders(environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    """(title, folder for resources) of every way in which Krita is installed on this system."""
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "win32":
        return [("Krita", Path(environ.get("APPDATA") or home / "AppData/Roaming") / "krita")]
    if sys.platform == "darwin":
        return [("Krita", home / "Library/Application Support/krita")]
    return [
        ("Krita", Path(environ.get("XDG_DATA_HOME") or home / ".local/share") / "krita"),
        ("Krita (Flatpak)", home / ".var/app/org.kde.krita/data/krita"),
        ("Krita (Snap)", home / "snap/krita/current/.local/share/krita"),
    ]
