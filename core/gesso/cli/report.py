"""What the command line prints at its end: one JSON object or lines of text on standard output, errors as one line. It draws nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gesso.errors import GessoError


def note(text: str) -> None:
    """A line for the person at the terminal, apart from the output."""
    print(f"gesso: {text}", file=sys.stderr, flush=True)


def document(value: Mapping[str, Any]) -> None:
    """The one JSON object of a command."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def failure(error: GessoError, *, as_json: bool) -> int:
    """Report an error and return its exit code."""
    if as_json:
        document({"error": error.to_wire()})
    else:
        print(one_line(error), file=sys.stderr)
    return error.exit_code


def one_line(error: GessoError) -> str:
    """``gesso: sentence [field, code] what to do``, without line breaks; what the sentence says itself is not said again."""
    where = f"{error.field}: {error.code}" if error.field else error.code
    text = f"gesso: {error.message} [{where}]"
    if error.hint and error.hint not in error.message:
        text += f" {error.hint}"
    return " ".join(text.split())


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Columns as wide as their widest cell; the last one is left as it is."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths[:-1], strict=True)]
        print("  ".join([*cells, line[-1]]).rstrip())


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
