"""`gesso config ...`: shows and changes the owner's settings. What a running daemon takes in at once, it notices by itself."""

from __future__ import annotations

import argparse
from typing import Any

from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.config import KEYS, Key, Settings, change, key, load
from gesso.wire.home import Home


def listing(args: argparse.Namespace, _surface: Surface) -> int:
    """Every setting, its value, and where that comes from."""
    settings = load(Home.find().config_file)
    if args.json:
        report.document({"file": str(settings.path), "settings": [_described(entry, settings) for entry in KEYS]})
        return 0
    rows = [(entry.name, _value(entry, settings), settings.sources[entry.name], entry.text) for entry in KEYS]
    report.table(rows, ("setting", "value", "from", "what it is"))
    print(f"\nfile: {settings.path}{'' if settings.path.exists() else ' (not there: every setting has its default)'}")
    return 0


def get(args: argparse.Namespace, _surface: Surface) -> int:
    """One setting's value, fit for a script."""
    entry = key(args.key)
    settings = load(Home.find().config_file)
    if args.json:
        report.document(_described(entry, settings))
    else:
        print(entry.shown(settings[entry.name]))
    return 0


def assign(args: argparse.Namespace, _surface: Surface) -> int:
    """Write one setting into the file."""
    return _change(args, args.value)


def unset(args: argparse.Namespace, _surface: Surface) -> int:
    """Take one setting out of the file, so that the default holds."""
    return _change(args, None)


def _change(args: argparse.Namespace, words: str | None) -> int:
    entry = key(args.key)
    path = Home.find().config_file
    change(path, entry.name, words)
    settings = load(path)
    if args.json:
        report.document(_described(entry, settings))
        return 0
    report.note(f"{entry.name} is {_value(entry, settings)}; {_taken(entry)}")
    if settings.sources[entry.name] == "environment":
        report.note(f"the environment variable {entry.variable} goes over the file")
    return 0


def _taken(entry: Key) -> str:
    when = {
        "at once": "a running daemon takes it in at once",
        "next start": "it holds from the daemon's next start on (`gesso stop` ends the one that runs)",
        "next command": "it holds from the next command on",
    }
    return when[entry.taken]


def _value(entry: Key, settings: Settings) -> str:
    shown = entry.shown(settings[entry.name])
    return f"{shown} ({entry.empty})".strip() if entry.empty and not settings[entry.name] and shown != entry.empty else shown


def _described(entry: Key, settings: Settings) -> dict[str, Any]:
    return {
        "key": entry.name,
        "value": settings[entry.name],
        "shown": entry.shown(settings[entry.name]),
        "from": settings.sources[entry.name],
        "default": entry.default,
        "type": entry.kind,
        "unit": entry.unit or None,
        "choices": list(entry.choices) or None,
        "taken": entry.taken,
        "variable": entry.variable,
        "about": entry.text,
    }
