# SPDX-License-Identifier: GPL-3.0-or-later
"""The open jobs of this Blender, and where their results belong, in a small file: Blender may be closed, or crash, before they are done. It
keeps no picture and no parameter; those are the daemon's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Mapping

from gesso.wire import discovery
from gesso.wire.home import Home, make_private

KEPT = ("operation", "mapping", "tiles", "relief", "asset", "object", "slot", "editor", "image", "save", "projection")
"""What of a task's memo outlives Blender: names and numbers."""
_PREFIX = "blender-jobs-"


class Unfinished:
    """Each process has a file of its own. What cannot be read or written is forgotten: the daemon keeps the pictures in any case."""

    def __init__(self, home: Home) -> None:
        self.jobs: Dict[str, Dict[str, Any]] = {}
        self._folder = home.state / "bridges"
        self._path = self._folder / f"{_PREFIX}{os.getpid()}.json"

    def keep(self, job: str, memo: Mapping[str, Any]) -> None:
        """Remember it until `drop`."""
        entry = {name: memo[name] for name in KEPT if name in memo}
        if self.jobs.get(job) != entry:
            self.jobs[job] = entry
            self._write()

    def drop(self, job: str) -> None:
        """Its result is in its place, or there will be none."""
        if self.jobs.pop(job, None) is not None:
            self._write()

    def inherit(self) -> Dict[str, Dict[str, Any]]:
        """What Blenders that are gone have left; it is this one's from now on."""
        found: Dict[str, Dict[str, Any]] = {}
        for path in sorted(self._folder.glob(f"{_PREFIX}*.json")):
            owner = path.stem[len(_PREFIX) :]
            if path != self._path and owner.isdecimal() and not discovery.is_alive(int(owner)):
                found.update(_taken(path, self._path))
        self.jobs.update(found)
        if found:
            self._write()
        return found

    def _write(self) -> None:
        draft = self._folder / f".{self._path.name}"
        try:
            if not self.jobs:
                self._path.unlink()
                return
            make_private(self._folder.parent)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft.write_text(json.dumps(self.jobs, ensure_ascii=False), encoding="utf-8")
            os.replace(draft, self._path)
        except OSError:
            return


def _taken(path: Path, ours: Path) -> Dict[str, Dict[str, Any]]:
    """The jobs in a file that is gone afterwards. It is renamed first, so that of two Blenders that start at once only one has them."""
    claimed = ours.with_suffix(".claimed")
    try:
        os.replace(path, claimed)
        found = json.loads(claimed.read_text(encoding="utf-8"))
        claimed.unlink()
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {job: entry for job, entry in entries if isinstance(entry, dict) and isinstance(entry.get("operation"), str)}
