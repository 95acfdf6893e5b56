# SPDX-License-Identifier: GPL-3.0-or-later
"""The open jobs of this Blender, and where their results belong, in a small file: Blender may be closed, or crash, before they are done. It
keeps no picture and no parameter; those are the daemon's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Mapping

from gesso.wire import discovery
from gesso.wire.home import Home

from ..panel.kept import Kept

KEPT = ("operation", "mapping", "tiles", "relief", "asset", "object", "slot", "editor", "image", "save", "projection")
"""What of a task's memo outlives Blender: names and numbers."""
_PREFIX = "blender-jobs-"


class Unfinished:
    """Each process has a file of its own. What cannot be read or written is forgotten: the daemon keeps the pictures in any case."""

    def __init__(self, home: Home) -> None:
        self.jobs: Dict[str, Dict[str, Any]] = {}
        self._home = home
        self._file = Kept(home, f"{_PREFIX}{os.getpid()}")

    def keep(self, job: str, memo: Mapping[str, Any]) -> None:
        """Remember it until `drop`."""
        entry = {name: memo[name] for name in KEPT if name in memo}
        if self.jobs.get(job) != entry:
            self.jobs[job] = entry
            self._file.write(self.jobs)

    def drop(self, job: str) -> None:
        """Its result is in its place, or there will be none."""
        if self.jobs.pop(job, None) is not None:
            self._file.write(self.jobs)

    def inherit(self) -> Dict[str, Dict[str, Any]]:
        """What Blenders that are gone have left; it is this one's from now on."""
        found: Dict[str, Dict[str, Any]] = {}
        for path in sorted(self._file.path.parent.glob(f"{_PREFIX}*.json")):
            owner = path.stem[len(_PREFIX) :]
            if path != self._file.path and owner.isdecimal() and not discovery.is_alive(int(owner)):
                found.update(self._taken(path))
        self.jobs.update(found)
        if found:
            self._file.write(self.jobs)
        return found

    def _taken(self, path: Path) -> Dict[str, Dict[str, Any]]:
        """The jobs in a file that is gone afterwards. It is renamed first, so that of two Blenders that start at once only one has them."""
        claimed = Kept(self._home, f"{self._file.path.stem}.claimed")
        try:
            os.replace(path, claimed.path)
        except OSError:
            return {}
        found = claimed.read()
        claimed.write(None)
        entries = found.items() if isinstance(found, dict) else ()
        return {job: entry for job, entry in entries if isinstance(entry, dict) and isinstance(entry.get("operation"), str)}
