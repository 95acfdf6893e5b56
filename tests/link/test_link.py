"""Both ends of the link over a real socket: typed messages both ways, heartbeats, big blobs, strangers refused, a loss that is noticed."""

from __future__ import annotations

import asyncio
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from gesso.daemon.memory import resident
from gesso.errors import ProtocolError
from gesso.link import WorkerLink
from gesso.link.front_link import FrontLink
from gesso.link.messages import Bye, Event, Finished, Go, Heartbeat, Lease, Message, Ready, Shutdown, decode, encode
from gesso.link.zap import ENDPOINT, ZapHandler

Play = Callable[["Stage"], Awaitable[None]]


class Stage:
    """A front's end on a loop, with what arrived."""

    def __init__(self, folder: Path) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.zap = ZapHandler(self.context)
        self.arrived: list[tuple[str, Message]] = []
        self.garbled: list[tuple[str, ProtocolError]] = []
        endpoint = f"ipc://{folder}/link.sock"
        self.front = FrontLink(
            self.context, self.zap, endpoint, lambda name, m: self.arrived.append((name, m)), lambda name, f: self.garbled.append((name, f))
        )

    async def until(self, done: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "it never came"
            await asyncio.sleep(0.005)

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for _, message in self.arrived if isinstance(message, kind)]


def play(folder: Path, scene: Play) -> None:
    async def run() -> None:
        stage = Stage(folder)
        try:
            await scene(stage)
        finally:
            stage.front.close()
            stage.zap.close()
            stage.context.destroy(linger=0)

    asyncio.run(run())


def test_messages_and_blobs_travel_both_ways(home: Path) -> None:
    async def scene(stage: Stage) -> None:
        link = WorkerLink(stage.front.endpoint, stage.front.admit("w1"), heartbeat=0.05)
        link.send(Ready(worker="w", pid=1, slots=2, info={"device": "cpu"}))
        big = bytes(range(256)) * 100_000
        link.send(Finished(job="j", state="done", result={"images": [{}]}, blobs=(big, b"")))
        await stage.until(lambda: len(stage.of(Finished)) == 1 and len(stage.of(Heartbeat)) > 3)
        assert stage.of(Finished)[0].blobs == (big, b"")
        assert {name for name, _ in stage.arrived} == {"w1"}
        lease = Lease(job="j", attempt=1, request={"params": {}}, spec=None, priority="batch", client="c")
        assert stage.front.send("w1", lease)
        assert stage.front.send("w1", Go(job="j"))
        got = [await asyncio.to_thread(link.inbox.get, True, 5) for _ in range(2)]
        assert got == [lease, Go(job="j")]
        link.send(Bye())
        await asyncio.to_thread(link.close)
        assert "gesso-link" not in {thread.name for thread in threading.enumerate()}
        await stage.until(lambda: len(stage.of(Bye)) == 1)

    play(home, scene)


def test_a_stalled_engine_shows_in_the_heartbeats(home: Path) -> None:
    async def scene(stage: Stage) -> None:
        link = WorkerLink(stage.front.endpoint, stage.front.admit("w1"), heartbeat=0.05)

        def stalled() -> float:
            beats = [message for message in stage.of(Heartbeat) if isinstance(message, Heartbeat)]
            return beats[-1].stalled if beats else 0.0

        await stage.until(lambda: stalled() > 0.3)
        link.turned()
        await stage.until(lambda: stalled() < 0.2)
        await asyncio.to_thread(link.close)

    play(home, scene)


FLOOD = """
import sys
from gesso.link import WorkerLink
from gesso.link.messages import Event
link = WorkerLink(*sys.argv[1:])
link.send(Event(job="j", body={"type": "progress"}))
sys.stdin.readline()
for _ in range(200):
    link.send(Event(job="j", body={"type": "preview"}, blobs=(bytes(1 << 20),)))
while not link._outgoing.empty():
    pass
print("sent", flush=True)
sys.stdin.readline()
link.close(60)
"""


def test_a_worker_that_floods_fills_its_own_memory_and_not_that_of_a_busy_front(home: Path) -> None:
    async def scene(stage: Stage) -> None:
        words = [sys.executable, "-c", FLOOD, stage.front.endpoint, stage.front.admit("w1")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdin
            assert worker.stdout
            await stage.until(lambda: len(stage.of(Event)) == 1, 60)
            before = resident(os.getpid())
            worker.stdin.write("\n")
            worker.stdin.flush()
            assert worker.stdout.readline() == "sent\n"  # the loop waits too: this front is busy
            time.sleep(1)
            grown = (resident(os.getpid()) or 0) - (before or 0)
            worker.stdin.write("\n")
            worker.stdin.flush()
            await stage.until(lambda: len(stage.of(Event)) == 201, 60)
        assert grown < 64 << 20, f"{grown >> 20} MiB of 200"

    play(home, scene)


def test_only_the_secret_of_a_spawned_worker_opens_the_link(home: Path) -> None:
    async def scene(stage: Stage) -> None:
        secret = stage.front.admit("w1")
        wrong = WorkerLink(stage.front.endpoint, "0" * 64)
        await stage.until(wrong.lost.is_set)
        assert isinstance(wrong.inbox.get_nowait(), Shutdown)
        stage.front.forget("w1")
        late = WorkerLink(stage.front.endpoint, secret)
        await stage.until(late.lost.is_set)
        assert stage.arrived == []
        assert stage.zap.refused >= 2
        assert not stage.front.send("w1", Go(job="j"))

    play(home, scene)


def test_the_loss_of_the_front_is_noticed_at_once(home: Path) -> None:
    told = threading.Event()
    links: list[WorkerLink] = []

    async def scene(stage: Stage) -> None:
        links.append(WorkerLink(stage.front.endpoint, stage.front.admit("w1"), on_lost=told.set))
        links[0].send(Ready(worker="w", pid=1, slots=1, info={}))
        await stage.until(lambda: len(stage.arrived) > 0)

    play(home, scene)
    assert told.wait(2)
    assert links[0].lost.is_set()
    found: list[Message] = []
    while not found or not isinstance(found[-1], Shutdown):
        found.append(links[0].inbox.get(timeout=2))
    links[0].send(Bye())
    links[0].close()


GARBLED = [
    b"{",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    b'{"type": "nonsense"}',
    b'{"type": []}',
    b'{"type": "go"}',
    b'{"type": "go", "job": "j", "more": 1}',
    b'{"type": "go", "job": 7}',
    b'{"type": "heartbeat", "stalled": "long"}',
    b'{"type": "heartbeat", "stalled": 0, "info": []}',
    b'{"type": "ready", "worker": "w", "pid": 1, "slots": "many", "info": {}}',
    b'{"type": "finished", "job": "j", "state": "done", "result": [1]}',
    b'{"type": "go", "job": "j", "blobs": []}',
]


def test_what_cannot_be_read_is_reported_with_its_sender(home: Path) -> None:
    async def scene(stage: Stage) -> None:
        secret = stage.front.admit("w1")
        context: zmq.Context[Any] = zmq.Context()
        dealer = context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.plain_username, dealer.plain_password = b"worker", secret.encode()
        dealer.connect(stage.front.endpoint)
        for frame in GARBLED:
            dealer.send_multipart([frame])
        await stage.until(lambda: len(stage.garbled) == len(GARBLED))
        assert stage.arrived == []
        assert {name for name, _ in stage.garbled} == {"w1"}
        dealer.close()
        context.term()

    play(home, scene)


def test_a_domain_without_a_policy_and_a_policy_that_fails_admit_nobody(home: Path) -> None:
    async def scene(stage: Stage) -> None:
        def broken(_: object) -> str | None:
            raise RuntimeError("the policy is broken")

        stage.zap.register("broken", broken)
        asker = stage.context.socket(zmq.REQ)
        asker.linger = 0
        asker.connect(ENDPOINT)
        verdicts = []
        for request in (
            [b"1.0", b"1", b"nowhere", b"127.0.0.1", b"", b"NULL"],
            [b"1.0", b"1", b"broken", b"127.0.0.1", b"", b"NULL"],
            [b"2.0", b"1", b"link", b"127.0.0.1", b"", b"NULL"],
            [b"1.0"],
        ):
            await asyncio.to_thread(asker.send_multipart, request)
            verdicts.append((await asyncio.to_thread(asker.recv_multipart))[2])
        assert verdicts == [b"400"] * 4
        asker.close()

    play(home, scene)


@pytest.mark.parametrize(
    "message",
    [
        Ready(worker="w", pid=1, slots=2, info={"device": "cpu"}),
        Heartbeat(stalled=0.5),
        Event(job="j", body={"type": "progress", "fraction": 0.5}, blobs=(b"x",)),
        Finished(job="j", state="failed", error={"code": "job"}),
        Shutdown(),
    ],
)
def test_messages_survive_their_frames(message: Message) -> None:
    assert decode(encode(message)) == message


def test_a_link_without_a_front_sends_nothing_and_closes(home: Path) -> None:
    link = WorkerLink(f"ipc://{home}/nobody.sock", "0" * 64)
    link.send(Bye())
    link.close(timeout=5)
    with pytest.raises(queue.Empty):
        link.inbox.get_nowait()
