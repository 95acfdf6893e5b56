"""`gesso uninstall`: what it lists, that it asks, what it removes and what it leaves."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.cli import main
from gesso.cli.places import places
from gesso.wire import discovery
from gesso.wire.home import Home


@pytest.fixture
def filled(home: Path) -> Home:
    """A state directory as it is after some use."""
    found = Home.find(home)
    found.prepare()
    main(["config", "set", "storage.limit", "1GiB"])
    (found.blobs / "ab").mkdir()
    (found.blobs / "ab" / ("ab" * 32)).write_bytes(bytes(5000))
    found.journal.write_bytes(bytes(4096))
    found.journal.with_name("journal.sqlite-wal").write_bytes(bytes(100))
    (found.models / "mine.safetensors").write_bytes(bytes(777))
    found.daemon_log.write_text("{}\n")
    return found


def test_sizes_are_counted_once(filled: Home) -> None:
    sizes = {place.name: place.size for place in places(filled)}
    assert (sizes["pictures"], sizes["journal"], sizes["models"], sizes["logs"]) == (5000, 4196, 777, 3)
    assert sum(sizes.values()) == sum(path.stat().st_size for path in filled.data.rglob("*") if path.is_file())


def test_nothing_is_removed_unasked(filled: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(filled.data.rglob("*"))
    assert main(["uninstall"]) == 2
    said = capsys.readouterr()
    assert str(filled.blobs) in said.out
    assert "Add --yes" in said.err
    assert main(["uninstall", "--json"]) == 2
    assert main(["uninstall", "--dry-run"]) == 0
    assert sorted(filled.data.rglob("*")) == before


@pytest.mark.parametrize(("answer", "goes"), [("no", False), ("yes", True)])
def test_a_person_at_a_terminal_is_asked(filled: Home, answer: str, goes: bool) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-m", "gesso", "uninstall"], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"Type yes:" not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, answer.encode() + b"\n")
    assert child.wait(30) == (0 if goes else 2)
    os.close(ours)
    assert filled.data.exists() is not goes


def test_the_daemon_is_stopped_and_everything_goes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run([sys.executable, "-m", "gesso", "serve", "--detach"], check=True, capture_output=True, timeout=60)
    assert main(["uninstall", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["removed"] is True
    assert told["left"] == []
    assert not home.exists()
    assert not discovery.is_owned(Home.find(home))
    assert main(["uninstall", "--yes"]) == 0
    assert "nothing of Gesso's" in capsys.readouterr().err


def test_what_is_not_ours_stays_and_links_are_not_followed(filled: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "photo.png").write_bytes(b"x")
    (filled.data / "notes.txt").write_text("mine")
    (filled.models / "linked").symlink_to(own)
    assert main(["uninstall", "--yes", "--keep-models"]) == 0
    said = capsys.readouterr().err
    assert sorted(path.name for path in filled.data.iterdir()) == ["models", "notes.txt"]
    assert "notes.txt" in said
    assert (filled.models / "mine.safetensors").exists()
    assert main(["uninstall", "--yes"]) == 0
    assert [path.name for path in filled.data.iterdir()] == ["notes.txt"]
    assert (own / "photo.png").exists()
