"""`gesso logs`: the lines of daemon and worker, oldest first, for people or as they are; with `-f` as they come. It asks no daemon."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.errors import OutputError
from gesso.logs import files_of
from gesso.wire.home import Home

LEVELS = ("debug", "info", "warning", "error", "critical")
_GLANCE = 0.2
_APART = ("time", "level", "logger", "message", "exception")
Line = Mapping[str, Any]


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """Show the newest lines; then, if asked, go on until Ctrl-C."""
    home = Home.find()
    wanted = _filter(args)
    tails = [_Tail(path) for path in (home.daemon_log, home.worker_log)]
    try:
        old = [line for tail in tails for line in tail.past() if wanted(line)]
        newest = sorted(old, key=lambda line: str(line.get("time", "")))[-args.lines :] if args.lines else []
        if not args.follow:
            return _finish(args, newest, home)
        for line in newest:
            _show(line, as_json=args.json)
        while True:
            for line in (line for tail in tails for line in tail.fresh() if wanted(line)):
                _show(line, as_json=args.json)
            sys.stdout.flush()
            time.sleep(_GLANCE)
    except OSError as fault:
        if isinstance(fault, BrokenPipeError):
            raise
        raise OutputError(f"A log cannot be read: {fault}.", hint="`gesso doctor` checks the permissions.") from fault
    finally:
        for tail in tails:
            tail.close()


def _finish(args: argparse.Namespace, lines: list[Line], home: Home) -> int:
    if args.json:
        report.document({"lines": [dict(line) for line in lines]})
        return 0
    for line in lines:
        _show(line, as_json=False)
    if not lines:
        report.note(f"no such lines in {home.daemon_log} and {home.worker_log}")
    return 0


def _filter(args: argparse.Namespace) -> Callable[[Line], bool]:
    least = LEVELS.index(args.level)

    def wanted(line: Line) -> bool:
        level = str(line.get("level", "info"))
        if level in LEVELS and LEVELS.index(level) < least:
            return False
        return args.job is None or args.job in json.dumps(line)

    return wanted


def _show(line: Line, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(line, ensure_ascii=False))
        return
    when = str(line.get("time", ""))[:19].replace("T", " ")
    who = str(line.get("logger", "")).removeprefix("gesso.")
    rest = "".join(f"  {name}={_word(value)}" for name, value in line.items() if name not in _APART)
    print(f"{when}  {line.get('level', ''):7}  {who:18}  {line.get('message', '')}{rest}")
    if line.get("exception"):
        print("    " + str(line["exception"]).rstrip().replace("\n", "\n    "))


def _word(value: object) -> str:
    return value if isinstance(value, str) and value and " " not in value else json.dumps(value, ensure_ascii=False)


class _Tail:
    """One log: what it holds, then what is added, over the change to a new file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._rest = b""

    def past(self) -> Iterator[Line]:
        """Everything until now."""
        for path in files_of(self._path):
            if path != self._path:
                yield from _parsed(path.read_bytes().splitlines())
        yield from self.fresh()

    def fresh(self) -> Iterator[Line]:
        """What has been added since."""
        if self._file is None and self._path.exists():
            self._file = self._path.open("rb")
        while self._file is not None:
            *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
            yield from _parsed(lines)
            if not self._replaced():
                return
            self.close()
            self._file = self._path.open("rb")

    def _replaced(self) -> bool:
        """Whether the file was put aside and there is another in its place."""
        if self._file is None or not self._path.exists():
            return False
        held, there = os.fstat(self._file.fileno()), self._path.stat()
        return (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file, self._rest = None, b""


def _parsed(lines: list[bytes]) -> Iterator[Line]:
    """Lines as objects; one that is torn or foreign is a message."""
    for raw in lines:
        text = raw.decode("utf-8", "replace").strip()
        if not text:
            continue
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        yield line if isinstance(line, dict) else {"message": text}
