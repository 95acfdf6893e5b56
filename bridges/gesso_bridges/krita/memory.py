"""Where the results of jobs belong, by job, in a small file: Krita may quit before they are done. It keeps no picture, and of what was
asked for only what the daemon cannot tell again: which layers were meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gesso.wire.home import Home

from ..panel.kept import Kept

LONGEST = 200
"""Jobs that are remembered, beside the favourites."""
LISTED = 40
"""Jobs of earlier runs that are listed, beside the favourites."""
_KEPT = ("document", "above", "box", "name", "grow", "invert", "from_image", "favourite", "wanted")


class Memory:
    """The newest jobs; the pictures themselves are the daemon's to keep."""

    def __init__(self, home: Home) -> None:
        self._file = Kept(home, "krita-jobs")
        found = self._file.read()
        entries = found.items() if isinstance(found, dict) else ()
        self.jobs: dict[str, dict[str, Any]] = {str(job): entry for job, entry in entries if isinstance(entry, dict)}

    def keep(self, job: str, memo: Mapping[str, Any]) -> None:
        """Remember, or remember anew; only what changed is written."""
        entry = {name: memo[name] for name in _KEPT if name in memo}
        if self.jobs.get(job) != entry:
            self.jobs.pop(job, None)
            self.jobs = _bounded({**self.jobs, job: entry})
            self._file.write(self.jobs)

    def forget(self, job: str) -> None:
        """It has been discarded."""
        if self.jobs.pop(job, None) is not None:
            self._file.write(self.jobs)


def listed(jobs: Sequence[Mapping[str, Any]], client: str) -> list[Mapping[str, Any]]:
    """Of the daemon's jobs, newest first, those that a client's docker lists: its newest ones, and every favourite."""
    own = [job for job in jobs if job.get("client") == client]
    return [job for place, job in enumerate(own) if place < LISTED or job.get("pinned")]


def _bounded(jobs: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without the oldest where they are too many; favourites stay."""
    old = [job for job, entry in jobs.items() if not entry.get("favourite")][:-LONGEST]
    return {job: entry for job, entry in jobs.items() if job not in old}
