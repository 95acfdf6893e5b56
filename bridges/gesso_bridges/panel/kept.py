"""A small JSON file that a host keeps from one start to the next. What cannot be read or written is forgotten: it is not worth an error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gesso.wire.home import Home, make_private


class Kept:
    """``name``: of the file, without its ending. Readers see the old file or the new one, never a part."""

    def __init__(self, home: Home, name: str) -> None:
        self.path: Path = home.state / "bridges" / f"{name}.json"

    def read(self) -> Any:
        """What was written last; None where there is nothing that can be read."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def write(self, content: Any) -> None:
        """Put it in the place of what was there; what is empty leaves no file."""
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            if not content:
                self.path.unlink()
                return
            make_private(self.path.parent.parent)
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            draft.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            os.replace(draft, self.path)
        except OSError:
            return
