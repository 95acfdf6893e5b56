"""A client that does not read, or is gone, harms nobody: memory stays bounded, others are served, results can be fetched later."""

from __future__ import annotations

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
