"""Logs: one JSON object a line, in files that are put aside when they grow, without prompts and tokens, because no caller passes any
unless the owner asks for it. It decides nothing about what is worth a line.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time
from pathlib import Path
from typing import TextIO

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def stamp(seconds: float) -> str:
    """A time as it stands in a line."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what came in ``extra`` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _PLAIN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class LogFile(logging.handlers.RotatingFileHandler):
    """A file of at most ``size`` bytes with ``files`` older ones. What cannot be written is counted in ``lost``: a full disk must not
    stop anybody, nor fill standard error.
    """

    def __init__(self, path: Path, size: int, files: int) -> None:
        super().__init__(path, maxBytes=size, backupCount=files, encoding="utf-8", errors="backslashreplace", delay=True)
        self.lost = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - its name and shape are logging's
        """Called by logging for any fault of writing."""
        self.lost += 1


def to_file(path: Path, size: int, files: int) -> LogFile:
    """Send the logs of `gesso` to this file; returns the handler, for `remove`."""
    handler = LogFile(path, size, files)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("gesso")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler


def to_stream(stream: TextIO = sys.stderr) -> None:
    """Send everybody's logs to a stream, as lines of JSON: for a process whose output somebody else keeps."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def remove(handler: logging.Handler) -> None:
    """Undo `to_file`."""
    logging.getLogger("gesso").removeHandler(handler)
    handler.close()


def files_of(path: Path) -> list[Path]:
    """A log's files, the oldest first."""
    aside = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: -int(file.suffix[1:]) if file.suffix[1:].isdigit() else 0)
    return [*(file for file in aside if file.suffix[1:].isdigit()), *([path] if path.exists() else [])]
