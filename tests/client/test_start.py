"""Starting a daemon, and what a client does when the daemon crashes, is stopped or comes back: real daemons, real signals."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso.client import Client, Done, Event, start_daemon
from gesso.client.opening import Place
from gesso.client.start import daemon_command, launch, tail
from gesso.errors import AlreadyRunning, StartFailed, Unreachable
from gesso.wire import discovery, program
from gesso.wire.home import Home

from .helpers import collect, until

MOSS = {"prompt": "mossy grey cobblestone", "model": "procedural", "width": 64, "height": 64, "seed": 7}


@pytest.fixture
def daemon(home: Path) -> Iterator[Client]:
    with start_daemon() as client:
        yield client
        if client._core.link.connected:
            client.stop()


def script(home: Path, text: str) -> str:
    path = home / "gesso-for-tests"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_a_client_starts_a_daemon_and_says_so(home: Path) -> None:
    said: list[str] = []
    with Client(on_start=said.append) as client:
        assert said == ["no daemon is running, starting one"]
        assert client.welcome["pid"] != os.getpid()
        with Client(on_start=said.append) as second:
            assert second.welcome["pid"] == client.welcome["pid"]
            with pytest.raises(AlreadyRunning, match=str(client.welcome["pid"])):
                start_daemon()
        client.stop()
    assert said == ["no daemon is running, starting one"]
    assert not discovery.is_owned(Home.find(home))
    assert discovery.read(Home.find(home)) is None


def test_many_clients_at_once_start_one_daemon(home: Path) -> None:
    clients: list[Client] = []
    threads = [threading.Thread(target=lambda: clients.append(Client())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({client.welcome["pid"] for client in clients}) == 1
    clients[0].stop()
    for client in clients:
        client.close()


def test_a_home_given_by_hand_is_handed_down(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = home / "other"
    with Client(home=other) as client:
        assert client.welcome["blobs"] == str(other / "blobs")
        assert not (home / "run").exists()
        client.stop()


@pytest.mark.parametrize("transport", ["ipc", pytest.param("tcp", marks=pytest.mark.slow)])
def test_a_job_of_the_real_daemon(home: Path, transport: str, tmp_path: Path) -> None:
    with Client(transport=transport) as client:
        job = client.submit("generate", MOSS)
        events = list(job)
        assert isinstance(events[-1], Done)
        assert [event.seq for event in events] == sorted({event.seq for event in events})
        image = job.result().images[0]
        assert (image.width, image.height, image.seed) == (64, 64, 7)
        assert image.read().startswith(b"\x89PNG")
        raw = client.submit("generate", MOSS, output="raw").result(60).images[0]
        assert raw.plane().shape == (64, 64, 3)
        assert "generate" in client.describe()["operations"]
        sha256 = client.upload(b"image" * 1_000_000)
        assert client.download(sha256) == b"image" * 1_000_000
        assert client.job(job.id)["params"]["prompt"] == MOSS["prompt"]
        client.stop()


@pytest.mark.reliability
def test_a_killed_daemon_is_started_again_and_the_job_ends(daemon: Client) -> None:
    job = daemon.submit("generate", {**MOSS, "width": 128, "height": 128})
    os.kill(daemon.welcome["pid"], signal.SIGKILL)
    assert isinstance(list(job)[-1], Done)
    assert len(job.result(60).images) == 1
    assert daemon.status()["pid"] == daemon.welcome["pid"]


def test_a_daemon_that_was_stopped_is_started_again_only_for_a_request(home: Path) -> None:
    with Client() as client, Client() as other:
        first = client.welcome["pid"]
        other.stop()
        until(lambda: not client._core.link.connected)
        time.sleep(0.3)
        assert not discovery.is_owned(Home.find(home))
        assert client.status()["pid"] not in (None, first)
        client.stop()


def test_a_command_that_fails_shows_its_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESSO_COMMAND", script(home, "echo the disk is on fire; exit 3"))
    with pytest.raises(StartFailed, match=r"started: the disk is on fire$") as caught:
        Client()
    assert caught.value.details == {"status": 3}
    monkeypatch.setenv("GESSO_COMMAND", script(home, "echo first; echo second; exit 3"))
    with pytest.raises(StartFailed, match=r"started: second$") as caught:
        Client()
    assert "first\nsecond" in str(caught.value.hint)


@pytest.mark.reliability
def test_jobs_outlive_a_daemon_that_is_killed_again_and_again(daemon: Client) -> None:
    dice = random.Random(5)
    jobs = [daemon.submit("generate", {**MOSS, "seed": seed}) for seed in range(6)]
    events: list[list[Event]] = [[] for _ in jobs]
    threads = [collect(job, into) for job, into in zip(jobs, events, strict=True)]
    for _ in range(3):
        time.sleep(dice.uniform(0.2, 1.5))
        os.kill(daemon.status()["pid"], signal.SIGKILL)
    for thread in threads:
        thread.join(100)
    for job, seen in zip(jobs, events, strict=True):
        assert [type(event) for event in seen].count(Done) == 1
        assert isinstance(seen[-1], Done)
        assert [event.seq for event in seen] == sorted({event.seq for event in seen})
        assert job.result(10).images[0].seed == job.params["seed"]


@pytest.mark.slow
def test_nothing_in_the_working_directory_is_imported(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "zmq", "numpy", "gesso"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    with Client() as client:
        assert client.submit("generate", MOSS).result(60).images
        client.stop()


def test_a_restart_that_fails_is_tried_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client() as client:
        monkeypatch.setenv("GESSO_COMMAND", script(home, "echo again >> $GESSO_HOME/tries; exit 1"))
        os.kill(client.welcome["pid"], signal.SIGKILL)
        with pytest.raises(StartFailed):
            client.submit("generate", MOSS).result(60)
    assert (home / "tries").read_text() == "again\n"


def test_a_command_that_is_missing_or_hangs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESSO_COMMAND", str(home / "absent"))
    with pytest.raises(StartFailed, match="No such file"):
        Client()
    monkeypatch.setenv("GESSO_COMMAND", script(home, "exec sleep 3"))
    with pytest.raises(StartFailed, match="not ready in time"):
        launch(Place.find(home, None, "test"), timeout=0.3)


def test_which_command_starts_the_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GESSO_COMMAND", raising=False)
    at = Home.find(tmp_path / "state")
    assert daemon_command(True, at) == [sys.executable, "-m", "gesso.daemon", "--tcp"]
    monkeypatch.setattr(sys, "executable", "/usr/bin/krita")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartFailed, match="not installed") as caught:
        daemon_command(False, at)
    assert "GESSO_COMMAND" in str(caught.value.hint)
    at.prepare()
    program.remember(at, ["/bin/sh", "-m", "gesso"])
    assert daemon_command(False, at) == ["/bin/sh", "-m", "gesso", "serve"]
    monkeypatch.setenv("PATH", os.path.dirname(script(tmp_path, "exit")))
    os.rename(tmp_path / "gesso-for-tests", tmp_path / "gesso")
    assert daemon_command(False, at) == [str(tmp_path / "gesso"), "serve"]
    monkeypatch.setenv("GESSO_COMMAND", "python -m gesso")
    assert daemon_command(True, at) == ["python", "-m", "gesso", "serve", "--tcp"]


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\n".join(f"line {n}" for n in range(5000)))
    assert tail(tmp_path / "log", 2) == "line 4998\nline 4999"
    (tmp_path / "log").write_text("")
    assert tail(tmp_path / "log") == "(nothing)"
    assert "cannot be read" in tail(tmp_path / "absent")


def test_without_start_nothing_is_started(home: Path) -> None:
    with pytest.raises(Unreachable):
        Client(start=False)
    assert not (home / "logs").exists()


@pytest.mark.slow
def test_a_daemon_that_a_client_started_drops_weights_then_leaves_and_is_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESSO_IDLE_DROP_WEIGHTS", "2 s")
    monkeypatch.setenv("GESSO_IDLE_EXIT", "3 s")
    said: list[str] = []
    with Client(on_start=said.append) as client:
        pid = client.welcome["pid"]
        assert client.submit("generate", MOSS).result(timeout=60).images

        def resident() -> object:
            return client.status()["workers"][0]["info"]["resident"]

        until(lambda: resident() == ["procedural"])
        until(lambda: resident() == [])
        assert client.welcome["pid"] == pid
        until(lambda: not discovery.is_owned(Home.find(home)), 60)  # we keep the connection, but ask nothing
        assert len(client.submit("generate", MOSS).result(timeout=60).images) == 1
        assert client.welcome["pid"] != pid
        client.stop()
    assert len(said) == 2
