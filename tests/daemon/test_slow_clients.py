"""A client that does not read, or is gone, harms nobody: memory stays bounded, others are served, results can be fetched later."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Make
from .talk import Daemon, Talk, memory_of


def test_a_client_that_never_reads_gets_its_result_later_and_costs_little(daemon: Daemon, talk: Talk) -> None:
    sleeper = daemon.talk(name="sleeper", rcvhwm=1)
    job = sleeper.submit("previews:300:800000 progress:300 image:64")["job"]
    before = memory_of(daemon.live.pid)
    talk.ask("attach", job=job)
    assert talk.end(job, timeout=60)["type"] == "done"
    grown = memory_of(daemon.live.pid) - before
    assert grown < 64 << 20, f"{grown >> 20} MiB for one client that does not read 240 MB of previews"
    assert talk.run("image:64")["type"] == "done"
    seen = [sleeper.event(job)]
    while seen[-1]["type"] != "done":
        seen.append(sleeper.event(job))
    numbers = [event["seq"] for event in seen]
    assert numbers == sorted(set(numbers))
    assert len(seen) < 600
    assert seen[-1]["result"]["images"]
    sleeper.close()


def test_a_client_that_does_not_read_its_answers_waits_alone(daemon: Daemon, talk: Talk) -> None:
    sha256 = talk.upload(bytes(1 << 20))
    greedy = daemon.talk(name="greedy", rcvhwm=1)
    before = memory_of(daemon.live.pid)
    for _ in range(200):
        greedy.post("blob.get", sha256=sha256)
    for _ in range(50):
        assert talk.ask("ping")["type"] == "pong"
    assert talk.run("image:64")["type"] == "done"
    assert memory_of(daemon.live.pid) - before < 96 << 20
    answered = [greedy.receive() for _ in range(200)]
    assert {message.type for message in answered} <= {"blob.data", "error"}
    greedy.close()


def test_a_client_that_left_is_forgotten_and_its_job_goes_on(daemon: Daemon, talk: Talk) -> None:
    leaver = daemon.talk(name="leaver")
    job = leaver.submit("sleep:0.2 progress:20 image:64")["job"]
    leaver.close()
    talk.ask("attach", job=job)
    assert talk.end(job)["type"] == "done"
    while talk.ask("status")["metrics"]["peers"] != 1:
        pass


@pytest.mark.reliability
def test_fifty_clients_of_which_one_floods_one_never_reads_and_one_crashes(make_daemon: Make, tmp_path: Path) -> None:
    """Everything is submitted while a gate holds the only slot; then the order of the ends tells who had to wait for whom."""
    gate = tmp_path / "gate"
    daemon = make_daemon({"GESSO_FAKE_SLOTS": "1"}).start()
    with daemon.talk(name="holder") as holder:
        first = holder.submit(f"gate:{gate}")["job"]
        holder.event(first, "started")
        flood = daemon.talk(name="flood")
        flooded = [flood.submit("image:64", watch=False)["job"] for _ in range(400)]
        sleeper = daemon.talk(name="sleeper", rcvhwm=1)
        slept = sleeper.submit("previews:50:500000 progress:50 image:64")["job"]
        crasher = daemon.talk(name="crasher")
        crashed = crasher.submit("segv")["job"]
        calm = [daemon.talk(name=f"calm-{number}") for number in range(47)]
        jobs = {talk: [talk.submit("image:64")["job"] for _ in range(3)] for talk in calm}
        gate.touch()
        for talk, own in jobs.items():
            assert {talk.end(job, timeout=60)["type"] for job in own} == {"done"}
        assert crasher.end(crashed, timeout=60)["error"]["code"] == "poisoned"
        last = max(daemon.ended_at(job) for own in jobs.values() for job in own)
        ahead = sum(daemon.ended_at(job) < last for job in flooded if daemon.has_ended(job))
        print(f"50 clients: when the last of 47 calm ones had its 3 pictures, the flood had {ahead} of 400")
        assert ahead <= 9, "three times a fair share"
        assert sleeper.end(slept, timeout=60)["type"] == "done"
        for talk in (flood, sleeper, crasher, *calm):
            talk.close()
