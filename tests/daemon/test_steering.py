"""Pausing, going on and changing the priority of a job, by its id, in every state and over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesso.errors import InvalidRequest, UnknownJob

from .conftest import Make
from .talk import Daemon, Talk


def summary(talk: Talk, job: str) -> dict[str, object]:
    line: dict[str, object] = talk.ask("list", job=job)["jobs"][0]
    return line


def stands(talk: Talk, job: str) -> bool:
    """Whether nothing comes of a job for a while."""
    with pytest.raises(TimeoutError):
        talk.event(job, "progress", "done", timeout=0.3)
    return True


def test_a_running_job_stands_and_goes_on(talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = talk.submit(f"gate:{gate} progress:3 image:64", params={"seed": 5})["job"]
    talk.event(job, "started")
    for _ in range(2):  # idempotent
        assert talk.ask("pause", job=job, paused=True)["type"] == "ok"
    assert talk.event(job, "log")["message"] == "The job is paused."
    gate.touch()
    assert stands(talk, job)
    assert (summary(talk, job)["state"], summary(talk, job)["paused"]) == ("running", True)
    talk.ask("pause", job=job, paused=False)
    assert talk.event(job, "log")["message"] == "The job goes on."
    end = talk.end(job)
    assert summary(talk, job)["paused"] is False
    assert end["result"]["images"] == talk.run("image:64", params={"seed": 5})["result"]["images"]
    assert talk.ask("pause", job=job, paused=True)["type"] == "ok"
    assert summary(talk, job)["paused"] is False
    with pytest.raises(UnknownJob):
        talk.ask("pause", job="0" * 32, paused=True)


def test_a_paused_job_takes_no_slot_and_no_turn(talk: Talk, tmp_path: Path) -> None:
    gates = [tmp_path / "a", tmp_path / "b"]
    first, second = (talk.submit(f"gate:{gate}")["job"] for gate in gates)  # the worker has two slots
    for job in (first, second):
        talk.event(job, "started")
    waiting, last = (talk.submit("image:64")["job"] for _ in range(2))
    talk.ask("pause", job=waiting, paused=True)
    assert stands(talk, last)
    talk.ask("pause", job=first, paused=True)
    assert talk.end(last)["type"] == "done"
    assert summary(talk, waiting)["state"] == "accepted"
    talk.ask("pause", job=waiting, paused=False)
    assert talk.end(waiting)["type"] == "done"
    talk.ask("pause", job=first, paused=False)
    for gate in gates:
        gate.touch()
    assert {talk.end(job)["type"] for job in (first, second)} == {"done"}


def test_a_paused_job_can_be_cancelled_in_every_state(talk: Talk, tmp_path: Path) -> None:
    running = [talk.submit(f"gate:{tmp_path / 'gate'}")["job"] for _ in range(2)]
    for job in running:
        talk.event(job, "started")
    waiting = talk.submit("image:64")["job"]
    for job in (waiting, running[0]):
        talk.ask("pause", job=job, paused=True)
        talk.ask("cancel", job=job)
        assert talk.end(job)["type"] == "cancelled"
    talk.ask("cancel", job=running[1])


def test_a_restart_forgets_no_pause_and_no_priority(make_daemon: Make, tmp_path: Path) -> None:
    daemon: Daemon = make_daemon().start()
    gate = tmp_path / "gate"
    with daemon.talk() as talk:
        running = talk.submit(f"gate:{gate}")["job"]
        talk.event(running, "started")
        waiting = talk.submit(f"gate:{gate}")["job"]
        for job in (running, waiting):
            talk.ask("pause", job=job, paused=True)
        talk.ask("prioritise", job=waiting, priority="interactive")
    daemon.kill()
    gate.touch()
    daemon.start()
    with daemon.talk() as talk:
        assert talk.run("image:64")["type"] == "done"
        for job in (running, waiting):
            assert (summary(talk, job)["state"], summary(talk, job)["paused"]) == ("accepted", True)
            talk.ask("attach", job=job)
            talk.ask("pause", job=job, paused=False)
        assert talk.end(running)["type"] == "done"
        assert talk.end(waiting)["result"]["info"]["priority"] == "interactive"


def test_priority_moves_what_waits_and_what_runs(talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    busy = [talk.submit(f"gate:{gate}")["job"] for _ in range(2)]
    for job in busy:
        talk.event(job, "started")
    early, late = (talk.submit("image:64")["job"] for _ in range(2))
    for _ in range(2):
        assert talk.ask("prioritise", job=late, priority="interactive")["type"] == "ok"
    talk.ask("prioritise", job=busy[0], priority="interactive")
    with pytest.raises(InvalidRequest, match="interactive, batch"):
        talk.ask("prioritise", job=early, priority="urgent")
    gate.touch()
    ends = {job: talk.end(job) for job in (*busy, early, late)}
    infos = [ends[job]["result"]["info"]["priority"] for job in (*busy, early, late)]
    assert infos == ["interactive", "batch", "batch", "interactive"]
    assert summary(talk, late)["priority"] == "interactive"
    talk.ask("prioritise", job=late, priority="batch")
    assert summary(talk, late)["priority"] == "interactive"


def test_a_job_that_is_tried_alone_is_not_paused(talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = talk.submit(f"once:{tmp_path / 'mark'}:segv gate:{gate}")["job"]
    while talk.event(job, "started")["attempt"] < 2:
        pass
    with pytest.raises(InvalidRequest, match="tried alone after a crash"):
        talk.ask("pause", job=job, paused=True)
    gate.touch()
    assert talk.end(job)["type"] == "done"


def test_draining_does_not_wait_for_what_is_paused(make_daemon: Make, tmp_path: Path) -> None:
    daemon: Daemon = make_daemon().start()
    with daemon.talk() as talk:
        job = talk.submit(f"gate:{tmp_path / 'gate'}")["job"]
        talk.event(job, "started")
        talk.ask("pause", job=job, paused=True)
        talk.ask("stop", drain=True)
    daemon.output(30)
    assert not daemon.is_alive()
    (tmp_path / "gate").touch()
    daemon.start()
    with daemon.talk() as talk:
        assert summary(talk, job)["state"] == "accepted"
        talk.ask("attach", job=job)
        talk.ask("pause", job=job, paused=False)
        assert talk.end(job)["type"] == "done"
