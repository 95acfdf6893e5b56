"""A worker may die of anything at any time: it is seen, replaced, and only the job that kills it is to blame."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from .conftest import Make
from .talk import Daemon, Talk


def worker_pid(talk: Talk) -> int:
    """The pid of the worker that is ready."""
    while True:
        workers = talk.ask("status")["workers"]
        if workers and workers[0]["state"] == "ready":
            return int(workers[0]["pid"])
        time.sleep(0.01)


SLOW = pytest.mark.reliability


@pytest.mark.parametrize("death", ["segv", "kill", pytest.param("abort", marks=SLOW), pytest.param("exit:3", marks=SLOW)])
def test_a_crash_is_seen_within_two_seconds_and_the_job_runs_again(talk: Talk, tmp_path: Path, death: str) -> None:
    job = talk.submit(f"once:{tmp_path / 'died'}:{death} unique:64")["job"]
    assert talk.event(job, "started")["attempt"] == 1
    began = time.monotonic()
    talk.event(job, "queued")
    assert time.monotonic() - began < 2.0
    assert talk.event(job, "started")["attempt"] == 2
    assert talk.end(job)["type"] == "done"


def test_a_job_that_crashes_alone_is_poisoned_and_its_neighbour_is_not(talk: Talk) -> None:
    """Both compute when the worker dies, so both are suspects; each runs again alone, and only one crashes again."""
    neighbour = talk.submit("sleep:0.4 unique:64")["job"]
    talk.event(neighbour, "started")
    crasher = talk.submit("segv")["job"]
    poisoned = talk.end(crasher)
    assert poisoned["error"]["code"] == "poisoned"
    assert "SIGSEGV" in poisoned["error"]["message"]
    assert talk.end(neighbour)["type"] == "done"
    assert talk.run("image:64")["type"] == "done"
    metrics = talk.ask("status")["metrics"]
    assert (metrics["poisoned"], metrics["worker_restarts"]) == (1, 2)


def test_a_neighbour_that_did_not_compute_is_requeued_without_blame(talk: Talk, tmp_path: Path) -> None:
    """The neighbour ended its part before the crash, so the black box does not name it: it keeps its attempts to run beside others."""
    crasher = talk.submit(f"once:{tmp_path / 'died'}:segv sleep:0.3")["job"]
    others = [talk.submit(f"sleep:0.05 unique:{64 + i}")["job"] for i in range(6)]
    assert talk.end(crasher)["type"] == "done"
    assert [talk.end(job)["type"] for job in others] == ["done"] * 6


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=SLOW)])
def test_killing_the_worker_again_and_again_loses_no_job(talk: Talk, kills: int) -> None:
    for _ in range(kills):
        jobs = [talk.submit(f"sleep:0.1 unique:{64 + i}")["job"] for i in range(5)]
        talk.event(jobs[0], "started")
        os.kill(worker_pid(talk), signal.SIGKILL)
        assert {talk.end(job)["type"] for job in jobs} == {"done"}
    assert talk.ask("status")["metrics"]["worker_restarts"] == kills


def test_a_hanging_engine_is_ended_at_its_deadline(make_daemon: Make, tmp_path: Path) -> None:
    daemon = make_daemon(settings={"worker.hang_patience": 2.0}).start()
    with daemon.talk() as talk:
        job = talk.submit(f"once:{tmp_path / 'hung'}:hang image:64")["job"]
        assert talk.end(job)["type"] == "done"
        poisoned = talk.run("hang")
        assert poisoned["error"]["code"] == "poisoned"
        assert "hung for 2 seconds" in poisoned["error"]["message"]


def test_a_silent_worker_is_replaced(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"worker.silence_patience": 2.0}).start()
    with daemon.talk() as talk:
        pid = worker_pid(talk)
        os.kill(pid, signal.SIGSTOP)
        while worker_pid(talk) == pid:
            time.sleep(0.02)
        assert talk.run("image:64")["type"] == "done"


def test_a_worker_that_breaks_the_protocol_is_ended(talk: Talk, tmp_path: Path) -> None:
    job = talk.submit(f"once:{tmp_path / 'spoken'}:garbage sleep:0.2 image:64")["job"]
    assert talk.end(job)["type"] == "done"
    assert talk.ask("status")["metrics"]["worker_restarts"] == 1


def test_a_worker_that_lies_hurts_only_the_job_it_lies_about(talk: Talk) -> None:
    for how in ("count", "big", "none", "error", "state"):
        failed = talk.run(f"lie:{how}")
        assert failed["type"] == "failed", how
        assert len(failed["error"]["message"]) < 1000, how
    assert talk.run("lie:event image:64")["type"] == "done"
    assert talk.previews == []
    once = talk.submit("lie:twice")["job"]
    assert talk.end(once)["type"] == "done"
    assert talk.run("image:64")["type"] == "done"
    assert talk.ask("attach", job=once)["state"] == "done"
    assert talk.ask("status")["metrics"]["worker_restarts"] == 0


@pytest.mark.parametrize(
    ("spoiled", "patience", "said"),
    [
        ("exit", {}, "cannot start"),
        ("silent", {"worker.start_patience": 0.5}, "cannot start"),
        ("barren", {}, "starts, but does no work"),
    ],
)
def test_jobs_fail_with_a_sentence_when_the_worker_is_of_no_use(
    make_daemon: Make, spoiled: str, patience: dict[str, float], said: str
) -> None:
    """Fails without the distinction of `failure` in `Supervisor._judge`."""
    daemon = make_daemon({"GESSO_FAKE_START": spoiled}, prewarm=False, settings=patience).start()
    with daemon.talk() as talk:
        failed = talk.run("image:64")
        assert failed["error"]["code"] == "worker_lost"
        assert said in failed["error"]["message"]
        if spoiled == "exit":
            assert "the fake worker was told not to start" in failed["error"]["message"]
        assert talk.ask("ping")["type"] == "pong"


def test_a_cancelled_job_is_not_run_again_after_a_crash(talk: Talk, tmp_path: Path) -> None:
    job = talk.submit("deaf sleep:30")["job"]
    talk.event(job, "started")
    talk.ask("cancel", job=job)
    os.kill(worker_pid(talk), signal.SIGKILL)
    assert talk.end(job)["type"] == "cancelled"


def test_workers_die_with_their_front(daemon: Daemon) -> None:
    with daemon.talk() as talk:
        pid = worker_pid(talk)
        job = talk.submit("sleep:60")["job"]
        talk.event(job, "started")
    daemon.kill()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()
