"""Where the results of jobs belong, by job, in a small file: Krita may quit before they are done. It keeps no picture, and of what was
asked for only what the daemon cannot tell again: which layers were meant.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesso.wire.home import Home, make_private

LONGEST = 200
_KEPT = ("document", "above", "box", "name", "grow", "from_image", "favourite", "wanted")


class Memory:
    """The newest jobs. What cannot be read or written is forgotten: the pictures themselves are the daemon's to keep."""

    def __init__(self, home: Home) -> None:
        self.path: Path = home.state / "bridges" / "krita-jobs.json"
        self.jobs: dict[str, dict[str, Any]] = self._read()

    def keep(self, job: str, memo: Mapping[str, Any]) -> None:
        """Remember, or remember anew; only what changed is written."""
        entry = {name: memo[name] for name in _KEPT if name in memo}
        if self.jobs.get(job) != entry:
            self.jobs.pop(job, None)
            self.jobs = dict(list({**self.jobs, job: entry}.items())[-LONGEST:])
            self._write()

    def forget(self, job: str) -> None:
        """It has been discarded."""
        if self.jobs.pop(job, None) is not None:
            self._write()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(job): entry for job, entry in found.items() if isinstance(entry, dict)} if isinstance(found, dict) else {}

    def _write(self) -> None:
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            make_private(self.path.parent.parent)
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            draft.write_text(json.dumps(self.jobs, ensure_ascii=False), encoding="utf-8")
            os.replace(draft, self.path)
        except OSError:
            return
