"""A real file system that really fills up, in a mount namespace of the test's own."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SLOW = pytest.mark.reliability


@functools.cache
def namespace() -> tuple[str, ...] | None:
    """How to get a mount namespace here: as root, else through a user namespace; None where neither is allowed."""
    for words in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        script = 'd=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs "$d" && umount "$d"; code=$?; rmdir "$d"; exit $code'
        if shutil.which("unshare") and subprocess.run([*words, "sh", "-c", script], capture_output=True, check=False).returncode == 0:
            return words
    return None


@pytest.mark.parametrize("kib", [1024, *(pytest.param(kib, marks=SLOW) for kib in (800, 2048, 6000))])
def test_a_disk_that_fills_up_loses_nothing_and_heals(home: Path, kib: int) -> None:
    words = namespace()
    if words is None:
        pytest.skip("this system allows no mount namespace, neither to root nor through a user namespace")
    command = [*words, sys.executable, "-m", "tests.daemon.full_disk", str(home), str(kib)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=110)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    assert told["accepted"] > 0
    assert told["filled"] > 0
