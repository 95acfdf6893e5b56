"""What workers print, on its way into a bounded log: lines of JSON pass, anything else becomes one, a flood is dropped and counted.
Whatever happens to the file, the pipe is read on, so that no worker ever waits for its own words to be taken.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from gesso.logs import LogFile, stamp

BURST, RATE = 1 << 20, 64 << 10
"""Bytes that are taken at once, and a second after that: far above what an honest worker says."""
LINE = 8 << 10
_CHUNK = 64 << 10


class WorkerOutput:
    """The log of all workers, one life after the other."""

    def __init__(self, path: Path, size: int, files: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.dropped = 0
        self._file = LogFile(path, size, files)
        self._clock = clock
        self._room = float(BURST)
        self._seen = clock()
        self._untold = 0

    def pump(self, descriptor: int, pid: int) -> None:
        """Take everything that comes until the last writer is gone, then close the pipe."""
        rest = b""
        try:
            while chunk := os.read(descriptor, _CHUNK):
                if not self._fits(len(chunk)):
                    self._untold += len(chunk)
                    self.dropped += len(chunk)
                    rest = b""
                    continue
                self._tell_dropped(pid)
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._write(line, pid)
            self._write(rest, pid)
            self._tell_dropped(pid)
        finally:
            os.close(descriptor)

    def last_words(self) -> str:
        """The last thing that a worker said, for a sentence to the user; empty if there is none."""
        try:
            raw = self.path.read_bytes()[-2 * LINE :]
        except FileNotFoundError:
            return ""
        for line in reversed(raw.decode("utf-8", "replace").splitlines()):
            try:
                said = json.loads(line)
            except ValueError:
                continue
            text = str(said.get("exception") or said.get("message") or "").strip()
            if text:
                return text.splitlines()[-1].strip()[:200]
        return ""

    def close(self) -> None:
        """Close the file; a worker that speaks later opens it again."""
        self._file.close()

    def _fits(self, count: int) -> bool:
        now = self._clock()
        self._room = min(float(BURST), self._room + RATE * (now - self._seen))
        self._seen = now
        if count > self._room:
            return False
        self._room -= count
        return True

    def _tell_dropped(self, pid: int) -> None:
        if self._untold:
            self._put({"level": "warning", "message": "the worker said more than is kept", "dropped_bytes": self._untold}, pid)
            self._untold = 0

    def _write(self, line: bytes, pid: int) -> None:
        text = line[:LINE].decode("utf-8", "replace").rstrip()
        if not text:
            return
        if text.startswith('{"time"'):
            try:
                json.loads(text)
            except ValueError:
                self._put({"level": "info", "message": text}, pid)
            else:
                self._emit(text)
        else:
            self._put({"level": "info", "message": text}, pid)

    def _put(self, said: dict[str, object], pid: int) -> None:
        self._emit(json.dumps({"time": stamp(time.time()), "logger": "gesso.worker.output", "pid": pid, **said}, ensure_ascii=False))

    def _emit(self, line: str) -> None:
        self._file.handle(logging.makeLogRecord({"msg": line}))
