"""The front as a process: one a state directory, light, gone within seconds when asked, idle for nothing."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gesso import telemetry
from gesso.config import change
from gesso.wire import discovery

from .conftest import Make
from .talk import Daemon, Talk, memory_of

RACES = int(os.environ.get("GESSO_TEST_RACES", "50"))
FORBIDDEN = ("torch", "numpy", "PIL", "pydantic", "pydantic_core", "diffusers", "transformers", "safetensors", "pluggy", "gesso_plugins")


def test_a_front_that_served_jobs_has_imported_nothing_heavy(make_daemon: Make) -> None:
    daemon = make_daemon(tcp=True, print_modules=True).start()
    with daemon.talk() as talk:
        sha256 = talk.upload(b"x")
        assert talk.run("fetch", params={"image": {"sha256": sha256}, "sampler": "euler"})["type"] == "done"
        talk.ask("describe")
        talk.ask("status")
        resident = memory_of(daemon.live.pid)
    modules = json.loads(daemon.stop().splitlines()[-1])
    assert "jsonschema_rs" in modules
    assert [name for name in modules if name.partition(".")[0] in FORBIDDEN] == []
    assert resident < 60 << 20, f"the front takes {resident >> 20} MiB"


def test_a_second_daemon_is_refused_and_the_first_goes_on(daemon: Daemon, make_daemon: Make) -> None:
    second = make_daemon().start(wait=False)
    assert second.live.wait(10) == 1
    refused = json.loads(second.output())
    assert refused["code"] == "already_running"
    assert refused["details"]["pid"] == daemon.live.pid
    with daemon.talk() as talk:
        assert talk.run("image:64")["type"] == "done"


def test_five_started_at_once_end_as_one(make_daemon: Make) -> None:
    fronts = [make_daemon(prewarm=False).start(wait=False) for _ in range(5)]
    deadline = time.monotonic() + 20
    while sum(front.is_alive() for front in fronts) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    living = [front for front in fronts if front.is_alive()]
    assert len(living) == 1
    with living[0].talk() as talk:
        assert talk.run("image:64")["type"] == "done"


@pytest.mark.reliability
@pytest.mark.timeout(900)
def test_two_started_at_once_end_as_one_every_time(make_daemon: Make) -> None:
    """Races for one state directory; each loser says so, each winner answers."""
    for race in range(RACES):
        began = time.monotonic()
        pair = [make_daemon(prewarm=False).start(wait=False) for _ in range(2)]
        while all(front.is_alive() for front in pair):
            assert time.monotonic() - began < 60, "both live"
            time.sleep(0.005)
        winner, loser = sorted(pair, key=Daemon.is_alive, reverse=True)
        assert json.loads(loser.output())["code"] == "already_running", race
        with winner.talk() as talk:
            assert talk.ask("ping")["type"] == "pong"
        winner.kill() if race % 2 else winner.stop()  # every other one leaves its traces behind
    print(f"{RACES} races, one winner each")


def test_what_a_dead_daemon_left_is_taken_over(make_daemon: Make) -> None:
    daemon = make_daemon().start()
    daemon.kill()
    assert daemon.home.daemon_file.exists()
    assert daemon.home.socket_path().exists()
    daemon.start()
    with daemon.talk() as talk:
        assert talk.run("image:64")["type"] == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
def test_it_leaves_within_ten_seconds_and_takes_its_traces_along(make_daemon: Make, number: signal.Signals | None) -> None:
    daemon = make_daemon().start()
    with daemon.talk() as talk:
        job = talk.submit("deaf sleep:60")["job"]
        talk.event(job, "started")
        pid = talk.ask("status")["workers"][0]["pid"]
        if number is None:
            assert talk.ask("stop")["type"] == "ok"
        else:
            os.kill(daemon.live.pid, number)
        began = time.monotonic()
        assert daemon.live.wait(10) == 0
    assert time.monotonic() - began < 10
    assert discovery.read(daemon.home) is None
    assert not discovery.is_alive(pid)
    assert not list(daemon.home.runtime.glob("*.box"))
    assert [path.name for path in daemon.home.runtime.iterdir()] == []


def test_settings_of_a_running_daemon_change_with_the_file_and_a_broken_one_changes_nothing(make_daemon: Make) -> None:
    daemon = make_daemon(prewarm=False).start()
    with daemon.talk() as talk:
        change(daemon.home.config_file, "storage.limit", "1 MiB")
        while (limit := talk.ask("status")["storage"]["limit"]) == 20 << 30:
            time.sleep(0.02)
        assert limit == 1 << 20
        daemon.home.config_file.write_text("[storage]\nlimit = 5\n")
        while (fault := talk.ask("status")["settings_fault"]) is None:
            time.sleep(0.02)
        assert "line 2: storage.limit must be at least" in fault
        assert talk.ask("status")["storage"]["limit"] == 1 << 20
        daemon.home.config_file.write_text("")
        while talk.ask("status")["settings_fault"] is not None:
            time.sleep(0.02)


def test_a_daemon_does_not_start_on_broken_settings(make_daemon: Make) -> None:
    daemon = make_daemon()
    daemon.home.config_file.write_text("[storage]\nlimt = 5\n")
    daemon.start(wait=False)
    assert daemon.live.wait(10) == 1
    assert "line 2: there is no setting 'storage.limt'" in daemon.output()


def test_a_daemon_that_stays_is_not_idle(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"idle.exit": 0.5}).start()
    time.sleep(2)
    assert daemon.is_alive()


def test_an_idle_daemon_leaves_when_told_so(make_daemon: Make) -> None:
    daemon = make_daemon(on_demand=True, settings={"idle.exit": 0.5}).start()
    with daemon.talk() as talk:
        job = talk.submit("sleep:1.5")["job"]
        assert talk.end(job)["type"] == "done"
    assert daemon.live.wait(10) == 0


def test_a_worker_starts_with_the_daemon_or_with_the_first_job(make_daemon: Make) -> None:
    daemon = make_daemon(prewarm=False).start()
    with daemon.talk() as talk:
        assert talk.ask("status")["workers"] == []
        assert talk.run("image:64")["type"] == "done"
        assert talk.ask("status")["workers"][0]["state"] == "ready"


def test_the_transport_can_be_chosen_by_the_environment(make_daemon: Make) -> None:
    daemon = make_daemon({"GESSO_TRANSPORT": "tcp"}, prewarm=False).start()
    assert str(daemon.info().tcp).startswith("tcp://127.0.0.1:")
    daemon.stop()
    assert make_daemon(prewarm=False).start().info().tcp is None


def test_a_daemon_started_while_another_leaves_takes_over(make_daemon: Make) -> None:
    leaving = make_daemon().start()
    with leaving.talk() as talk:
        job = talk.submit("deaf sleep:60")["job"]
        talk.event(job, "started")
        talk.ask("stop")
    assert make_daemon().start().is_alive()
    assert leaving.live.wait(10) == 0


def test_a_state_directory_too_deep_for_a_socket_works(make_daemon: Make, home: Path) -> None:
    daemon = make_daemon(root=home / ("deep" * 30)).start()
    socket = daemon.home.socket_path()
    assert not socket.is_relative_to(home)
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    with daemon.talk() as talk:
        assert talk.run("image:64")["type"] == "done"
    daemon.stop()
    assert not socket.exists()
    socket.parent.rmdir()


def test_nothing_is_reported_to_anybody(daemon: Daemon, talk: Talk) -> None:
    """What the libraries would report is off in every worker, and in a process that imports them through the command line."""
    talk.run("image:64")
    pid = talk.ask("status")["workers"][0]["pid"]
    worker = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert [name for name, value in telemetry.OFF.items() if f"{name}={value}".encode() not in worker] == []
    clean = {name: value for name, value in os.environ.items() if name not in telemetry.OFF}
    script = "from gesso.cli import main; main(['--version'])\nimport huggingface_hub.constants as c; print(c.HF_HUB_DISABLE_TELEMETRY)"
    told = subprocess.run([sys.executable, "-c", script], env=clean, check=True, capture_output=True, text=True)
    assert told.stdout.split()[-1] == "True"
