"""`gesso storage`: what lies where, how much it takes, what caps it, how long it is kept; and sets that. It deletes nothing."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from typing import Any

from gesso.cli import report, work
from gesso.cli.places import Place, places
from gesso.cli.schema import Surface
from gesso.config import Settings, change, key, load
from gesso.config.units import size
from gesso.errors import Unreachable
from gesso.wire.home import Home

CAPS: Mapping[str, str] = {"pictures": "storage.limit", "journal": "storage.keep", "logs": "logs.size"}
"""The setting that bounds a place."""


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """Set what was given, then show everything."""
    home = Home.find()
    for name, words in (("storage.limit", args.limit), ("storage.keep", args.keep)):
        if words is not None:
            change(home.config_file, name, words)
    settings = load(home.config_file)
    found = places(home)
    told = _daemon()
    if args.json:
        report.document(_document(home, found, settings, told))
        return 0
    rows = [(place.name, size(place.size), _cap(place, settings), str(place.path), place.what) for place in found]
    report.table(rows, ("what", "size", "cap", "where", ""))
    if told is not None:
        shares = f"{size(told['results'])} of results, {size(told['inputs'])} of inputs; {told['pinned']} held by pins and running jobs"
        print(f"\nblobs: {told['blobs']}, {shares}")
    keep = f"for {_shown(settings, 'storage.keep')} after their end, pinned ones for ever" if settings["storage.keep"] else "for ever"
    print(f"\njobs are kept {keep}; beyond the cap the oldest results that are not pinned go first")
    print(f"{size(_free(home))} free on the disk; with less than {_shown(settings, 'storage.reserve')} no new job is accepted")
    print("change: gesso storage --limit SIZE --keep DURATION; gesso jobs pin|forget ID")
    return 0


def _shown(settings: Settings, name: str) -> str:
    return key(name).shown(settings[name])


def _cap(place: Place, settings: Settings) -> str:
    name = CAPS.get(place.name)
    if name is None:
        return ""
    if name == "logs.size":
        return size(2 * settings.integer("logs.size") * (settings.integer("logs.files") + 1))
    if name == "storage.keep":
        return f"jobs go after {_shown(settings, name)}" if settings[name] else ""
    return _shown(settings, name)


def _free(home: Home) -> int:
    return shutil.disk_usage(next(path for path in (home.data, *home.data.parents) if path.exists())).free


def _daemon() -> dict[str, Any] | None:
    """What a running daemon knows beyond the sizes of files."""
    try:
        with work.connect(start=False) as client:
            return dict(client.status()["storage"])
    except Unreachable:
        return None


def _document(home: Home, found: list[Place], settings: Settings, told: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "places": [{"name": place.name, "path": str(place.path), "size": place.size} for place in found],
        "limit": settings["storage.limit"],
        "keep": settings["storage.keep"] or None,
        "reserve": settings["storage.reserve"],
        "disk_free": _free(home),
        "daemon": told,
    }
