"""What single files do in a daemon's worker when they misbehave there: each is named, its job fails, and everybody else goes on. (One that
loops for ever is a worker that hangs: `tests/daemon/test_crashes.py`.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.examples
SOURCE = """
import os, sys, threading, time
from gesso.plugin import sampler


def loop():
    while True:
        pass


def flood():
    for _ in range(30_000):
        print("flood " * 200)


def thread():
    threading.Thread(target=loop, daemon=False).start()


MISCHIEF = {"": lambda: None, "raise": lambda: 1 / 0, "exit": lambda: sys.exit(3), "die": lambda: os._exit(7), "flood": flood}


@sampler("wild", title="Wild", paper="none")
def wild(x, sigmas):
    for sigma in sigmas[:-1]:
        x = (yield x, sigma).denoised
        MISCHIEF[open(os.environ["GESSO_HOME"] + "/mischief").read()]()
    return x
"""
FLOOD = "while True: print('flood ' * 1000)\n"
THREAD = SOURCE + "\nthread()\n"


class Owner:
    """A user with a state directory and a folder of plugins."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder

    def run(self, *words: str) -> dict[str, Any]:
        """Run `gesso ... --json`; what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "gesso", *words, "--json"],
            cwd=self.folder, env={**os.environ, "GESSO_HOME": str(self.home)}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=110, check=False,
        )  # fmt: skip
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def add(self, name: str, source: str) -> dict[str, Any]:
        (self.folder / name).write_text(source, encoding="utf-8")
        return self.run("plugins", "add", name)

    def job(self, mischief: str, sampler: str = "wild.wild") -> dict[str, Any]:
        (self.home / "mischief").write_text(mischief)
        place = f"{mischief or 'tame'}-{time.monotonic_ns()}/"
        return self.run("generate", "moss", "--model", "starter", "--size", "64", "--steps", "3", "--sampler", sampler, "-o", place)


@pytest.fixture
def owner(home: Path, tmp_path: Path) -> Iterator[Owner]:
    found = Owner(home, tmp_path)
    yield found
    found.run("stop")


def test_a_file_that_misbehaves_in_jobs_costs_these_jobs(owner: Owner) -> None:
    assert "error" not in owner.add("wild.py", SOURCE)
    assert "error" not in owner.job("")
    front = owner.run("status")["pid"]
    said = {mischief: owner.job(mischief) for mischief in ("raise", "exit", "die")}
    codes = {mischief: one["error"]["code"] for mischief, one in said.items()}
    assert codes == {"raise": "sampler", "exit": "sampler", "die": "poisoned"}
    assert "'wild.wild' failed with ZeroDivisionError" in said["raise"]["error"]["message"]
    assert "'wild.wild' failed with SystemExit: 3" in said["exit"]["error"]["message"]
    assert "error" not in owner.job("flood"), "a flood is nobody's end"
    assert sum(path.stat().st_size for path in (owner.home / "logs").iterdir()) < 64 << 20
    assert "error" not in owner.job("", "euler"), "and all others live"
    assert owner.run("status")["pid"] == front


def test_a_file_that_floods_or_leaves_threads_while_it_is_checked_is_dealt_with(owner: Owner) -> None:
    refused = owner.add("flooding.py", FLOOD)["error"]
    assert (refused["code"], refused["details"]["plugin"]) == ("plugin", "flooding")
    assert not (owner.home / "plugins/plugins.json").exists()
    began = time.monotonic()
    assert owner.add("threaded.py", THREAD)["state"] == "on"
    assert time.monotonic() - began < 100, "its thread is waited for by nobody"
