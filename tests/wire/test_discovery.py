"""`daemon.json` on disk."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.errors import UnsafeState
from gesso.wire import discovery
from gesso.wire.discovery import DaemonInfo
from gesso.wire.home import Home

INFO = DaemonInfo(1, "0.1.0", os.getpid(), "ipc:///run/front.sock", None, None)


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return Home.find(tmp_path / "home")


def test_written_read_and_removed(place: Home) -> None:
    assert discovery.read(place) is None
    discovery.write(place, INFO)
    assert discovery.read(place) == INFO
    assert stat.S_IMODE(place.daemon_file.stat().st_mode) == 0o600
    assert os.listdir(place.runtime) == ["daemon.json"]
    discovery.remove(place)
    assert discovery.read(place) is None
    discovery.remove(place)


def test_another_daemons_file_is_left_alone(place: Home) -> None:
    discovery.write(place, DaemonInfo(1, "0.1.0", os.getpid() + 1, None, None, None))
    discovery.remove(place)
    assert discovery.read(place) is not None
    discovery.remove(place, os.getpid() + 1)
    assert discovery.read(place) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"protocol": "1"}', '{"protocol": 1, "version": "v", "pid": 1, "ipc": 7}', "[" * 60000, "\xff"]
)
def test_what_cannot_be_understood_is_no_daemon(place: Home, text: str) -> None:
    discovery.write(place, INFO)
    place.daemon_file.write_bytes(text.encode("latin-1"))
    assert discovery.read(place) is None


def test_fields_of_later_versions_are_passed_over(place: Home) -> None:
    discovery.write(place, INFO)
    place.daemon_file.write_text('{"protocol": 2, "version": "9", "pid": 5, "ipc": null, "colour": "blue"}')
    assert discovery.read(place) == DaemonInfo(2, "9", 5, None, None, None)


def test_a_file_that_others_could_have_written_is_refused(place: Home) -> None:
    discovery.write(place, INFO)
    place.daemon_file.chmod(0o666)
    with pytest.raises(UnsafeState):
        discovery.read(place)
    discovery.remove(place)
    assert not place.daemon_file.exists()


def test_a_failed_write_leaves_the_old_file(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    discovery.write(place, INFO)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        discovery.write(place, DaemonInfo(1, "9", 1, None, None, None))
    assert discovery.read(place) == INFO
    assert os.listdir(place.runtime) == ["daemon.json"]


def test_is_alive() -> None:
    assert discovery.is_alive(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not discovery.is_alive(child.pid)
    assert not discovery.is_alive(0)
    assert not discovery.is_alive(-1)
    assert not discovery.is_alive(1 << 40)


def test_somebody_else_s_process_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def foreign(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", foreign)
    assert discovery.is_alive(1)


def test_is_owned(place: Home) -> None:
    place.prepare()
    assert not discovery.is_owned(place)
    place.lock_file.touch()
    assert not discovery.is_owned(place)
    with place.lock_file.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert discovery.is_owned(place)
    assert not discovery.is_owned(place)
