"""What tests of the command line share: a user who types `gesso ...` in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Desk:
    """A user with a state directory and a working folder."""

    home: Path
    folder: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run `gesso` and go on."""
        return subprocess.Popen(
            [sys.executable, "-m", "gesso", *words],
            cwd=self.folder,
            env={**os.environ, "GESSO_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `gesso` to its end."""
        process = self.start(*words)
        out, err = process.communicate(timeout=110)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words: str) -> dict[str, Any]:
        """Run `gesso ... --json`, which must succeed and print one object."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def error(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run `gesso ... --json`, which must fail: the exit code and the error."""
        done = self.run(*words, "--json")
        assert done.returncode != 0
        found = json.loads(done.stdout)["error"]
        assert found["message"]
        return done.returncode, found

    def state(self, job: str) -> str:
        """The state of a job."""
        return str(self.json("jobs", "show", job)["state"])
