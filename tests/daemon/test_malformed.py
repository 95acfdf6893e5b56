"""Malformed messages hurt nobody: thousands of them, each answered or dropped by rule, and a healthy job after every batch."""

from __future__ import annotations

import json
import os
import random
import socket
from typing import Any

import pytest

from gesso.wire import auth
from gesso.wire import message as wire

from .conftest import Make
from .talk import Daemon, Talk

SLOW = pytest.mark.reliability
MESSAGES = [2000, pytest.param(int(os.environ.get("GESSO_TEST_MESSAGES", "20000")), marks=SLOW)]
STREAMS = [300, pytest.param(int(os.environ.get("GESSO_TEST_STREAMS", "3000")), marks=SLOW)]
BATCH = 1000
GOOD: list[dict[str, Any]] = [
    {"type": "hello", "id": "1", "client": "x", "version": "0", "protocol": [1]},
    {"type": "submit", "id": "2", "key": "k", "operation": "paint", "params": {"prompt": "image:64", "image": {"sha256": "0" * 64}}},
    {"type": "attach", "id": "3", "job": "0" * 32, "from": 0},
    {"type": "blob.begin", "id": "4", "size": 5, "sha256": "0" * 64},
    {"type": "blob.part", "id": "5", "upload": "x", "offset": 0},
    {"type": "blob.get", "id": "6", "sha256": "0" * 64, "offset": 0, "length": 1},
    {"type": "list", "id": "7", "limit": 5, "states": ["done"]},
    {"type": "cancel", "id": "8", "job": "x"},
    {"type": "describe", "id": "9", "offset": 0},
    {"type": "blob.have", "id": "10", "sha256": ["0" * 64]},
]
NASTY: list[Any] = [
    None, True, -1, 0, 2**63, 2**200, 1e308, "", "../../etc/passwd", "\x00", "\ud800", "x" * 5000,
    [], {}, [[[[]]]], {"a": {"b": {}}}, "0" * 64,
]  # fmt: skip


def mutated(chance: random.Random) -> list[bytes]:
    """One broken message."""
    header = json.loads(json.dumps(chance.choice(GOOD)))
    for _ in range(chance.randint(0, 3)):
        name = chance.choice([*header, "new"])
        if chance.random() < 0.3:
            header.pop(name, None)
        else:
            header[name] = chance.choice(NASTY)
    raw = json.dumps(header).encode()
    kind = chance.randrange(8)
    if kind == 0:
        raw = raw[: chance.randrange(len(raw) + 1)]
    elif kind == 1:
        at = chance.randrange(len(raw))
        raw = raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
    elif kind == 2:
        raw = b"[" * chance.choice([10, 40, 5000]) + raw
    frames = [b"gesso/1", raw, os.urandom(chance.choice([0, 0, 0, 10, 4000]))]
    if kind == 3:
        frames = frames[: chance.randrange(3)]
    elif kind == 4:
        frames += [b""] * chance.choice([1, 5, 300])
    elif kind == 5:
        frames[0] = chance.choice([b"", b"gesso/2", b"HTTP/1.1", os.urandom(7)])
    return frames


def healthy(daemon: Daemon) -> None:
    """A good client gets its picture."""
    with daemon.talk(name="healthy") as talk:
        assert talk.run("image:64")["type"] == "done"


@pytest.mark.parametrize("messages", MESSAGES)
def test_malformed_messages_are_answered_or_dropped_and_the_next_job_runs(daemon: Daemon, messages: int) -> None:
    chance = random.Random(4)
    answers = 0
    for start in range(0, messages, BATCH):
        with daemon.talk(name="bad") as talk:
            for number in range(min(BATCH, messages - start)):
                talk.socket.send_multipart(mutated(chance) or [b""])
                if number % 50 == 49:
                    answers += drain(talk)
            answers += drain(talk)
        healthy(daemon)
    print(f"{messages} malformed messages, {answers} answers, 0 crashes")
    assert answers >= messages * 0.9  # an error nobody asked for is dropped where the peer's queue is full


def drain(talk: Talk) -> int:
    """Read what has been answered, up to the answer to one last ping."""
    ident = talk.post("ping")
    count = 0
    while talk.receive().header.get("re") != ident:
        count += 1
    return count


def test_sizes_and_depths_at_and_over_the_limits(daemon: Daemon) -> None:
    limits = wire.LIMITS
    with daemon.talk() as talk:
        for frames in (
            [b"gesso/1", b'{"type":"ping","id":"1","x":"' + b"y" * limits["header_bytes"] + b'"}', b""],
            [b"gesso/1", b'{"type":"ping","id":"1","x":' + b"[" * 33 + b"]" * 33 + b"}", b""],
            [b"gesso/1", b'{"type":"ping","id":"1"}', bytes(limits["payload_bytes"] + 1)],
        ):
            talk.socket.send_multipart(frames)
            assert talk.receive().header["error"]["code"] == "too_large"
        assert talk.ask("ping")["type"] == "pong"
        talk.socket.send_multipart([b"gesso/1", b'{"type":"ping","id":"1"}', bytes(limits["frame_bytes"] + 1)])
    healthy(daemon)


@pytest.mark.parametrize("streams", STREAMS)
def test_malformed_streams_of_bytes_on_the_live_port(make_daemon: Make, streams: int) -> None:
    daemon = make_daemon(tcp=True).start()
    chance = random.Random(5)
    host, port = auth.address(str(daemon.info().tcp)).split(":")
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"PLAIN".ljust(20, b"\x00") + b"\x00" + bytes(31)
    hello = b"\x04\x26\x05HELLO" + b"\x10" + b"a" * 16 + b"\x10" + b"b" * 16
    for _ in range(streams):
        stream = bytearray(chance.choice([greeting, greeting + hello, hello, os.urandom(200)]))
        for _ in range(chance.randint(0, 6)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(stream[: chance.randint(1, len(stream))])
    healthy(daemon)
    assert daemon.is_alive()


def test_a_flood_of_requests_is_told_to_wait(make_daemon: Make) -> None:
    daemon = make_daemon({"GESSO_FAKE_SLOTS": "1"}).start()
    with daemon.talk(name="flood") as flood, daemon.talk(name="calm") as calm:
        first = flood.submit("sleep:1.5")["job"]
        flood.event(first, "started")
        codes: list[str] = []
        for number in range(700):
            flood.post("submit", key=f"f{number}", operation="paint", params={"prompt": "image:64"}, watch=False)
        while len(codes) < 700:
            header = flood.receive().header
            if "re" in header:
                codes.append(header["error"]["code"] if header["type"] == "error" else "accepted")
        assert set(codes) == {"accepted", "busy"}
        quick = calm.submit("image:64")["job"]
        assert calm.end(quick)["type"] == "done"
        assert calm.ask("status")["queue"]["waiting"] > 100, "the calm client did not wait for the flood"
