"""The black box: the last mark is what is read, whenever the writer dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gesso.link import BlackBox

PROGRAM = """
import sys
from pathlib import Path
from gesso.link import BlackBox
box = BlackBox(Path(sys.argv[1]))
print("ready", flush=True)
n = 0
while True:
    n += 1
    box.mark([f"{n:032x}"] * (1 + n % 40))
"""


def test_the_last_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "box"
    assert BlackBox.read(path) == ()
    box = BlackBox(path)
    assert BlackBox.read(path) == ()
    for ids in (["a"], ["a", "b"], [], ["c" * 32] * 400, ["d"]):
        box.mark(ids)
        assert BlackBox.read(path) == tuple(ids)
    box.clear()
    assert BlackBox.read(path) == ()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="holds"):
        box.mark(["e" * 32] * 600)
    box.close()


def test_a_new_life_begins_with_nothing(tmp_path: Path) -> None:
    path = tmp_path / "box"
    first = BlackBox(path)
    first.mark(["old"])
    first.close()
    assert BlackBox.read(path) == ("old",)
    BlackBox(path).close()
    assert BlackBox.read(path) == ()


def test_garbage_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "box"
    for raw in (b"", b"GESSOBB1", os.urandom(100), bytes(64 + 2 * 16 * 1024), b"GESSOBB1" + os.urandom(56 + 2 * 16 * 1024)):
        path.write_bytes(raw)
        assert BlackBox.read(path) == ()


def test_a_writer_killed_at_any_instant_leaves_an_intact_mark(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / f"box{number}"
        writer = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.01 + 0.003 * number)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        ids = BlackBox.read(path)
        assert ids
        assert len(ids) == 1 + int(ids[0], 16) % 40
        assert len(set(ids)) == 1
