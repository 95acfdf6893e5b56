"""The commands `gesso bridge ...`. What they copy is written down by `gesso.installed`, so that everything can be taken away again."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from gesso import __version__, installed
from gesso.errors import OutputError, UsageError
from gesso.wire import program
from gesso.wire.home import Home
from gesso_bridges import hosts
from gesso_bridges.hosts import Host, Installation

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a packed bridge: the same Gesso packs the same bytes."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", hint=f"See `{self.prog} --help`.")


def _parser(verb: str, about: str, *, host: str | None = None) -> _Parser:
    parser = _Parser(prog=f"gesso bridge {verb}", description=about, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    if host is not None:
        known = ", ".join(entry.name for entry in hosts.entries())
        parser.add_argument("host", metavar="HOST", nargs=host, default=None, help=f"one of: {known}")
    return parser


def listing(argv: Sequence[str]) -> int:
    """Every bridge, the hosts that were found for it, and what is installed where."""
    args = _parser("list", "Show the bridges, the programs they were found for, and where they are installed.").parse_args(argv)
    copies = installed.copies(Home.find())
    rows = []
    for entry in hosts.entries():
        host = hosts.host(entry.name)
        places = {found.folder: found.title for found in host.installations(os.environ)}
        places |= {copy.folder: copy.title for copy in copies if copy.name == entry.name}
        content = host.files() if any(copy.name == entry.name for copy in copies) else {}
        for folder, title in places.items():
            copy = next((copy for copy in copies if (copy.name, copy.folder) == (entry.name, folder)), None)
            rows.append({"host": entry.name, "program": title, "folder": str(folder), **_standing(copy, content)})
    if args.json:
        _document({"bridges": [{"host": entry.name, "help": entry.help} for entry in hosts.entries()], "installations": rows})
        return 0
    for row in rows:
        print(f"{row['host']:<10} {row['program']:<16} {row['state']:<12} {row['folder']}")
    for entry in hosts.entries():
        if not any(row["host"] == entry.name for row in rows):
            print(f"{entry.name:<10} not found; {hosts.host(entry.name).program}")
    return 0


def _standing(copy: installed.Copy | None, content: Mapping[str, bytes]) -> dict[str, Any]:
    if copy is None:
        return {"state": "absent", "version": None, "changed": []}
    changed = copy.changed()
    digests = {name: installed.digest(data) for name, data in content.items()}
    state = "changed" if changed else "current" if dict(copy.files) == digests else "outdated"
    return {"state": state, "version": copy.version, "changed": changed}


def install(argv: Sequence[str]) -> int:
    """Copy a bridge into every installation that was found, or into the folder that was named."""
    parser = _parser("install", "Copy a bridge into its program.", host="?")
    parser.add_argument("--into", metavar="FOLDER", default=None, help="the folder for add-ons of one installation")
    args = parser.parse_args(argv)
    name, host = _named(args.host)
    if args.into is not None:
        places = [Installation(host.title, Path(os.path.abspath(os.path.expanduser(args.into))))]
    else:
        places = host.installations(os.environ)
    if not places:
        hint = f"{host.program}, start it once, or name its folder for add-ons with --into FOLDER."
        raise UsageError(f"No {host.title} of yours was found.", field="host", hint=hint)
    return _tell(args, [_copied(name, host, place) for place in places], "installed", host.hint)


def update(argv: Sequence[str]) -> int:
    """Bring what is installed to this version; without a name, every bridge."""
    args = _parser("update", "Bring installed bridges to this version of Gesso.", host="?").parse_args(argv)
    wanted = None if args.host is None else _named(args.host)[0]
    copies = [copy for copy in installed.copies(Home.find()) if wanted in (None, copy.name)]
    if not copies:
        raise UsageError("No such bridge is installed.", field="host", hint="`gesso bridge install HOST` does it.")
    done = [_copied(copy.name, hosts.host(copy.name), Installation(copy.title, copy.folder)) for copy in copies]
    return _tell(args, done, "updated", "Restart the program where it runs.")


def _copied(name: str, host: Host, place: Installation) -> installed.Copy:
    """The bridge's files in their place; what was copied starts this very Gesso, whatever the host's path names."""
    home = Home.find()
    copy = installed.install(home, installed.Copy(name, place.folder, place.title, __version__), host.files())
    program.remember(home, [sys.executable, "-m", "gesso"])
    return copy


def uninstall(argv: Sequence[str]) -> int:
    """Take away what was copied; the host is as it was before."""
    args = _parser("uninstall", "Take a bridge out of its program again.", host="?").parse_args(argv)
    name, host = _named(args.host)
    home = Home.find()
    copies = [copy for copy in installed.copies(home) if copy.name == name]
    if not copies:
        raise UsageError(f"The bridge into {host.title} is not installed.", field="host", hint="`gesso bridge list` shows what is.")
    left = [path for copy in copies for path in installed.remove(home, copy)]
    for path in left:
        print(f"gesso: left alone, because it was changed since: {path}", file=sys.stderr)
    return _tell(args, copies, "removed", "Restart the program where it runs.", left)


def pack(argv: Sequence[str]) -> int:
    """Write the bridge as one zip file."""
    parser = _parser("pack", "Write a bridge as one file, to be installed by hand from within the program.", host="?")
    parser.add_argument("-o", "--output", metavar="PATH", default=".", help="a folder, or the file's name (default: here)")
    parser.add_argument("--force", action="store_true", help="overwrite a file that exists")
    args = parser.parse_args(argv)
    _, host = _named(args.host)
    path = Path(args.output)
    path = path / host.packed_name() if path.is_dir() or args.output.endswith("/") else path
    if path.exists() and not args.force:
        raise OutputError(f"{path} exists already.", hint="Choose another name, or add --force.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zipped(host.files()))
    except OSError as fault:
        raise OutputError(f"{path} cannot be written: {fault.strerror or fault}.") from fault
    if args.json:
        _document({"path": str(path), "size": path.stat().st_size, "hint": host.hint})
    else:
        print(path)
    return 0


def zipped(content: Mapping[str, bytes]) -> bytes:
    """The files as a zip file, whose bytes depend on them alone. Folders have entries of their own: Krita's importer looks for them."""
    folders = {f"{folder}/": b"" for name in content for folder in PurePosixPath(name).parents if folder.name}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted({**folders, **content}.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _named(name: str | None) -> tuple[str, Host]:
    if name is None:
        known = ", ".join(entry.name for entry in hosts.entries())
        raise UsageError("Which program is the bridge for?", field="host", hint=f"One of: {known}.")
    return name, hosts.host(name)


def _tell(args: argparse.Namespace, copies: Sequence[installed.Copy], verb: str, hint: str, left: Sequence[Path] = ()) -> int:
    if args.json:
        listed = [{"host": copy.name, "program": copy.title, "folder": str(copy.folder), "files": len(copy.files)} for copy in copies]
        _document({verb: listed, "hint": hint, "left": [str(path) for path in left]})
        return 0
    for copy in copies:
        print(f"{verb}: {copy.title}, {len(copy.files)} files below {copy.folder}")
    print(hint)
    return 0


def _document(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
