"""The daemon's log: one JSON object a line, rotated, without prompts and tokens, because no caller passes any."""

from __future__ import annotations

import json
import logging
import logging.handlers
import time
from pathlib import Path

_BYTES = 4 << 20
_FILES = 3
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what came in ``extra`` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _PLAIN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def to_file(path: Path) -> logging.Handler:
    """Send the logs of `gesso` to this file; returns the handler, for `remove`."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("gesso")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler


def remove(handler: logging.Handler) -> None:
    """Undo `to_file`."""
    logging.getLogger("gesso").removeHandler(handler)
    handler.close()
