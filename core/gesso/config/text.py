"""The text of `config.toml`: on which line a setting stands, and the text with one setting changed and all else as its owner wrote
it. It reads and writes no file.
"""

from __future__ import annotations

import json
import re

from gesso.config.keys import Key, Value

_TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_.\- ]+?)\s*\]\s*(?:#.*)?$")
_ENTRY = re.compile(r"(\s*)([A-Za-z0-9_.\-]+)(\s*=\s*)")
_VALUE = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^#]*?)(\s*(?:#.*)?)$""")


def line_of(raw: str, name: str) -> int:
    """The line, from 1, on which a setting stands; 1 where that cannot be told."""
    at = _find(raw.splitlines(), name)
    return 1 if at is None else at + 1


def _toml(entry: Key, value: Value) -> str:
    text = entry.shown(value)
    exact = entry.kind not in ("size", "duration") or entry.taken_from(text) == value
    if entry.kind == "text" or (entry.kind in ("size", "duration") and exact):
        return json.dumps(text, ensure_ascii=False)
    return text if exact else str(value)


def with_value(raw: str, entry: Key, value: Value) -> str:
    """The text with this setting, in its place or at the end of its table."""
    lines = raw.splitlines()
    table, _, last = entry.name.rpartition(".")
    written = _toml(entry, value)
    at = _find(lines, entry.name)
    if at is not None:
        head = _ENTRY.match(lines[at])
        assert head is not None
        rest = _VALUE.match(lines[at], head.end())
        lines[at] = f"{head[0]}{written}{rest[2] if rest else ''}"
        return "\n".join(lines) + "\n"
    end = _end_of_table(lines, table)
    if end is None:
        lines += [*([""] if lines else []), f"[{table}]", f"{last} = {written}"]
    else:
        lines.insert(end, f"{last} = {written}")
    return "\n".join(lines) + "\n"


def without(raw: str, name: str) -> str:
    """The text without this setting."""
    lines = raw.splitlines()
    at = _find(lines, name)
    if at is not None:
        del lines[at]
    return "\n".join(lines) + "\n" if lines else ""


def _find(lines: list[str], name: str) -> int | None:
    table = ""
    for number, line in enumerate(lines):
        if head := _TABLE.match(line):
            table = f"{head[1]}."
        elif (entry := _ENTRY.match(line)) and f"{table}{entry[2]}" == name:
            return number
    return None


def _end_of_table(lines: list[str], table: str) -> int | None:
    """Behind the last entry of a table, before the blank lines and comments that lead to the next one."""
    end: int | None = None
    inside = False
    for number, line in enumerate(lines):
        if head := _TABLE.match(line):
            inside = head[1] == table
            if inside:
                end = number + 1
        elif inside and _ENTRY.match(line):
            end = number + 1
    return end
