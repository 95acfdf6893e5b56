"""`gesso uninstall`: lists everything that Gesso keeps for this user, bridges in other programs included, then removes it. What it does not
know it leaves, and says so. The package itself is pip's to remove.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from gesso import installed
from gesso.cli import report, work
from gesso.cli.places import Place, places
from gesso.cli.schema import Surface
from gesso.config.units import size
from gesso.errors import OutputError, Unreachable, UsageError
from gesso.wire import discovery
from gesso.wire.home import Home


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """List; ask; stop the daemon; remove."""
    home = Home.find()
    copies = installed.copies(home)
    found = [Place("bridge", copy.folder, f"the bridge in {copy.title}", copy.size) for copy in copies]
    found += [place for place in places(home) if not (args.keep_models and place.name == "models")]
    if not args.json:
        _list(found)
    if not found or args.dry_run:
        return _tell(args, found, removed=False, left=[])
    if not args.yes:
        _ask(args)
    _stop(home)
    changed = [path for copy in copies for path in installed.remove(home, copy)]
    for place in found[len(copies) :]:
        _remove(place.path)
    return _tell(args, found, removed=True, left=[*changed, *_tidy(home)])


def _list(found: list[Place]) -> None:
    if found:
        report.table([(place.name, size(place.size), str(place.path), place.what) for place in found], ("what", "size", "where", ""))
    else:
        report.note("there is nothing of Gesso's here")


def _ask(args: argparse.Namespace) -> None:
    if args.json or not sys.stdin.isatty():
        raise UsageError("Nothing was removed: nobody is there to ask.", field="yes", hint="Add --yes to remove what is listed.")
    if input("\nRemove all of this for good? Type yes: ").strip().lower() != "yes":
        raise UsageError("Nothing was removed.", field="yes", hint="Only the word yes removes it.")


def _stop(home: Home) -> None:
    if not discovery.is_owned(home):
        return
    try:
        with work.connect(start=False) as client:
            client.stop()
    except Unreachable as fault:
        hint = f"{fault.hint or 'End its process.'} Then try again."
        raise Unreachable(f"The daemon could not be stopped, so nothing was removed: {fault.message}", hint=hint) from fault


def _remove(path: Path) -> None:
    """The path itself; what a link leads to is not ours."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
                file.unlink(missing_ok=True)
    except FileNotFoundError:
        return  # it lay in a folder that went before
    except OSError as fault:
        raise OutputError(f"{fault.filename or path} cannot be removed: {fault.strerror or fault}.", hint="Remove it by hand.") from fault


def _tidy(home: Home) -> list[Path]:
    """Remove our own folders where they are empty now; what strangers put into them."""
    left: list[Path] = []
    for folder in dict.fromkeys((home.data, home.config_file.parent, home.state, home.logs.parent)):
        if not folder.is_dir():
            continue
        inside = sorted(folder.iterdir())
        if inside:
            left.extend(path for path in inside if path not in left)
        elif folder.name == "gesso" or os.environ.get("GESSO_HOME"):
            folder.rmdir()
    return left


def _tell(args: argparse.Namespace, found: list[Place], *, removed: bool, left: list[Path]) -> int:
    if args.json:
        listed = [{"name": place.name, "path": str(place.path), "size": place.size} for place in found]
        report.document({"places": listed, "removed": removed, "left": [str(path) for path in left]})
        return 0
    if removed:
        report.note(
            f"removed, {size(sum(place.size for place in found))}; the program itself goes with: {sys.executable} -m pip uninstall gesso"
        )
        for path in left:
            report.note(f"left alone, because Gesso did not put it there, it was changed since, or it is to be kept: {path}")
    return 0
