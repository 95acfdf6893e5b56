"""Where the results of jobs belong, by job, in a small file: Krita may quit before they are done. It keeps no picture, and of what was
asked for only what the daemon cannot tell again: which layers were meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesso.wire.home import Home

from ..panel.kept import Kept

LONGEST = 200
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
            self.jobs = dict(list({**self.jobs, job: entry}.items())[-LONGEST:])
            self._file.write(self.jobs)

    def forget(self, job: str) -> None:
        """It has been discarded."""
        if self.jobs.pop(job, None) is not None:
            self._file.write(self.jobs)
