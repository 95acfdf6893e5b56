"""Nothing grows: a mixed load with clients that crash and time out, judged from its middle on; a front that leaks is condemned."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from gesso.errors import GessoError

from .conftest import Make
from .talk import Daemon, Talk, memory_of

SECONDS = float(os.environ.get("GESSO_TEST_SOAK", "240"))
PAUSE = 0.1  # of each client between what it does, so that other tests may run beside
GROWTH = 0.02
ROOM = 8 << 20  # up to 4096 connections are remembered, because a ROUTER is not told when one ends
POOL = 6  # threads of the loop's own pool come one by one

pytestmark = [pytest.mark.reliability, pytest.mark.timeout(2 * SECONDS + 240)]


@dataclass(frozen=True)
class Sample:
    """What the front holds at one moment."""

    memory: int
    files: int
    threads: int


def sample(pid: int) -> Sample:
    return Sample(memory_of(pid), len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))


class Crowd:
    """Clients of every kind, one after the other, until told to stop."""

    def __init__(self, daemon: Daemon, number: int) -> None:
        self.stopping = False
        self.jobs = 0
        self._daemon = daemon
        self._chance = random.Random(number)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stopping:
            talk = self._daemon.talk(name=f"crowd-{self._chance.randrange(5)}", rcvhwm=self._chance.choice([1, 1000]))
            try:
                self._behave(talk)
            except (GessoError, TimeoutError):
                continue
            finally:
                talk.close()
                time.sleep(PAUSE)

    def _behave(self, talk: Talk) -> None:
        kind = self._chance.randrange(6)
        if kind == 0:  # leaves in the middle
            talk.submit("progress:5 sleep:0.05 image:64")
        elif kind == 1:  # cancels
            job = talk.submit("sleep:5")["job"]
            talk.ask("cancel", job=job)
            talk.end(job)
        elif kind == 2:  # never finishes its upload
            talk.ask("blob.begin", size=100_000, sha256=self._chance.randbytes(32).hex())
        elif kind == 3:  # talks nonsense
            talk.socket.send_multipart([b"gesso/1", os.urandom(50), b""])
        else:
            for _ in range(5):
                end = talk.run("progress:5 previews:3:20000 unique:2000")
                talk.blob(end["result"]["images"][0]["sha256"])
                self.jobs += 1


def soak(daemon: Daemon, seconds: float) -> tuple[Sample, Sample, int]:
    """(in the middle, at the end, jobs done), both measured at rest."""
    samples = []
    jobs = 0
    for _ in range(2):
        crowd = [Crowd(daemon, number) for number in range(4)]
        time.sleep(seconds / 2)
        for one in crowd:
            one.stopping = True
        for one in crowd:
            one.thread.join(60)
        jobs += sum(one.jobs for one in crowd)
        with daemon.talk() as talk:
            while talk.ask("status")["queue"]["leased"] + talk.ask("status")["queue"]["running"]:
                time.sleep(0.05)
        time.sleep(1.0)
        samples.append(sample(daemon.live.pid))
    return samples[0], samples[1], jobs


def grew(middle: Sample, end: Sample) -> bool:
    return end.memory > middle.memory * (1 + GROWTH) + ROOM or end.files > middle.files + 2 or end.threads > middle.threads + POOL


def test_nothing_grows(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"storage.limit": 2_000_000}).start()
    middle, end, jobs = soak(daemon, SECONDS)
    print(f"{SECONDS:g} s, {jobs} jobs: {middle} -> {end}")
    assert jobs > SECONDS
    assert not grew(middle, end)
    assert not list(Path(daemon.home.incoming).iterdir())
    assert daemon.is_alive()


def test_a_front_that_leaks_is_found_out(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"storage.limit": 2_000_000}, sabotage={"do": "leak", "step": "terminal.sent", "nth": 1}).start()
    middle, end, _ = soak(daemon, 20)
    print(f"leaking: {middle} -> {end}")
    assert grew(middle, end)
