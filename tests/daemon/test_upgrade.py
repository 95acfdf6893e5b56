"""A client of a newer Gesso meets the daemon of an older one: a real daemon that reports another version, and what becomes of its jobs."""

from __future__ import annotations

import json
import shlex
import sys
import threading
import time
from pathlib import Path

import pytest

from gesso.client import Client, Started
from gesso.client.upgrade import is_older
from gesso.wire.discovery import is_owned
from gesso.wire.home import Home
from gesso.wire.message import PACKAGE_VERSION

from .conftest import Make
from .talk import HERE, Daemon


def startable(monkeypatch: pytest.MonkeyPatch, **plan: str) -> None:
    """What a client of this test starts: the same front, with fake workers."""
    words = [sys.executable, str(HERE / "run_front.py"), json.dumps(plan)]
    monkeypatch.setenv("GESSO_COMMAND", shlex.join(words))


@pytest.fixture
def older(make_daemon: Make) -> Daemon:
    """A daemon of an earlier release, with room for one job at a time."""
    return make_daemon({"GESSO_FAKE_SLOTS": "1"}, version="0.0.9").start()


def test_versions_are_compared_by_their_numbers() -> None:
    assert is_older("0.9.9", "0.10.0")
    assert is_older("1.2", "1.2.1")
    assert not is_older("0.1.0", "0.1.0")
    assert not is_older("0.2.0", "0.1.9")
    assert not is_older("unknown", "1.0")


def test_running_jobs_end_the_daemon_is_restarted_and_that_is_said(older: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    said: list[str] = []
    clients: list[Client] = []
    startable(monkeypatch)
    with Client(start=False) as before:
        running = before.submit("paint", prompt=f"gate:{gate} image:64", seed=1)
        while before.job(running.id)["state"] != "running":
            time.sleep(0.02)
        waiting = before.submit("paint", prompt="image:64", seed=2)
        upgrade = threading.Thread(target=lambda: clients.append(Client(on_start=said.append)))
        upgrade.start()
        while not before.status()["draining"]:
            time.sleep(0.02)
        assert said == [f"the running daemon is Gesso 0.0.9, this is {PACKAGE_VERSION}: it is restarted once the jobs that run have ended"]
        assert older.is_alive()
        gate.touch()
        upgrade.join(60)
        (client,) = clients
        assert client.welcome["version"] == PACKAGE_VERSION
        assert client.welcome["pid"] != older.live.pid
        assert [event.attempt for event in client.attach(running.id) if isinstance(event, Started)] in ([], [1])
        assert client.job(running.id)["attempt"] == 1
        assert len(client.attach(waiting.id).result(timeout=60).images) == 1
        assert len(running.result(timeout=60).images) == 1
        assert client.status()["on_demand"] is False  # as the older one was
        client.stop()
        client.close()
    older.output()
    assert older.live.returncode == 0


@pytest.mark.parametrize(("theirs", "startable_version"), [("9.9.9", PACKAGE_VERSION), ("0.0.9", "0.0.9"), ("0.0.9", "0.0.8")])
def test_a_daemon_is_left_alone_unless_a_newer_one_takes_its_place(
    make_daemon: Make, monkeypatch: pytest.MonkeyPatch, theirs: str, startable_version: str
) -> None:
    daemon = make_daemon(version=theirs, prewarm=False).start()
    startable(monkeypatch, version=startable_version)
    said: list[str] = []
    with Client(on_start=said.append) as client:
        assert client.welcome["pid"] == daemon.live.pid
    assert said == []


def test_commands_that_start_no_daemon_restart_none(older: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    startable(monkeypatch)
    with Client(start=False) as client:
        assert client.welcome["version"] == "0.0.9"
    assert is_owned(Home.find(older.root))
