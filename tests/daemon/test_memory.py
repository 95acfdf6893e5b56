"""What an authorised peer sends costs little: messages without an end, with a million frames, deep, long or full of nonsense."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import time
from pathlib import Path

import pytest
import zmq

from gesso.wire import auth
from gesso.wire.home import Home
from gesso.wire.transport import Curve
from gesso.wire.zmtp import Connection, Null, Plain, Ready

from .conftest import Make
from .talk import Daemon, Talk, memory_of
from .test_remote import ANY_PORT, let_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the ceiling needs Linux")
CEILING = 192 << 20
SETTINGS = {"daemon.memory": CEILING}
MOST = 4 << 30


@pytest.fixture
def laptop(home: Path) -> Curve:
    return let_in(Home.find(home), "laptop")


@pytest.fixture
def bounded(make_daemon: Make, laptop: Curve) -> Daemon:
    """A front with little room, on every transport."""
    return make_daemon(tcp=True, settings={**SETTINGS, "daemon.listen": ANY_PORT}).start()


def peak_of(pid: int) -> int:
    """The most memory that a process ever had."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def shake_hands(daemon: Daemon, transport: str) -> socket.socket:
    """A raw connection that the front has let in."""
    info = daemon.info()
    if transport == "ipc":
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(daemon.home.socket_path()))
        connection = Connection(Null())
    else:
        host, port = auth.address(str(info.tcp)).split(":")
        raw = socket.create_connection((host, int(port)))
        nonce = auth.new_nonce()
        connection = Connection(Plain(nonce, auth.client_proof(str(info.token), nonce, str(info.tcp))))
    raw.settimeout(20)
    ready = False
    while not ready:
        for chunk in connection.take():
            raw.sendall(chunk)
        ready = any(isinstance(event, Ready) for event in connection.feed(raw.recv(65536)))
    for chunk in connection.take():
        raw.sendall(chunk)
    return raw


def send_without_end(raw: socket.socket) -> int:
    """Frames of one message, until the other side ends the connection; how many bytes that took."""
    frame = b"\x03" + struct.pack(">Q", 1 << 20) + bytes(1 << 20)  # a long frame, and more follow
    sent = 0
    with contextlib.suppress(OSError):
        while sent < MOST:
            raw.sendall(frame)
            sent += len(frame)
    return sent


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_message_without_an_end_ends_its_connection_only(bounded: Daemon, transport: str) -> None:
    pid = bounded.live.pid
    info = bounded.info()
    before = memory_of(pid)
    with Talk(str(info.tcp), token=info.token, name="calm") as calm:
        job = calm.submit("progress:3 sleep:3 image:64")["job"]
        with contextlib.closing(shake_hands(bounded, transport)) as raw:
            sent = send_without_end(raw)
        assert calm.end(job)["type"] == "done"
        assert calm.ask("ping")["type"] == "pong", "nobody else was disturbed"
        assert calm.ask("status")["metrics"]["connections_ended"] == 1
    mib = [size >> 20 for size in (sent, before, peak_of(pid), memory_of(pid))]
    print("{}: ended after {} MiB; the front had {} MiB, at most {}, now {}".format(transport, *mib))
    assert sent < MOST, "it was never cut off"
    assert bounded.live.pid == pid
    assert bounded.is_alive()
    assert peak_of(pid) < 4 * CEILING


def test_a_message_too_large_to_hold_ends_its_connection_over_curve(bounded: Daemon, laptop: Curve) -> None:
    address = str(bounded.info().curve)
    with Talk(address, curve=laptop, name="calm") as calm:
        job = calm.submit("sleep:4 image:64")["job"]
        with Talk(address, curve=laptop, name="greedy") as greedy:
            monitor = greedy.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            greedy.socket.send_multipart([bytes(1 << 20)] * 1000, copy=False)
            assert monitor.poll(60_000), "it was not cut off"
            greedy.socket.disable_monitor()
            monitor.close()
        assert calm.end(job)["type"] == "done"
    with bounded.talk() as owner:
        assert owner.ask("status")["metrics"]["connections_ended"] >= 1
    assert peak_of(bounded.live.pid) < 4 * CEILING


def test_where_nobody_watches_the_kernel_bounds_the_front_and_no_job_is_lost(make_daemon: Make) -> None:
    """The loop stands still, so that the guard cannot act: an endless message meets the limit that the kernel holds."""
    floor = 128 << 20
    daemon = make_daemon(settings={"daemon.memory": floor}, sabotage={"step": "accepted.send", "do": "block", "nth": 2}).start()
    with daemon.talk() as talk, contextlib.closing(shake_hands(daemon, "ipc")) as raw:
        job = talk.submit("gate:/nowhere")["job"]
        talk.post("submit", key="x", operation="paint", params={"prompt": "image:64"})  # its answer blocks the loop
        time.sleep(0.5)
        assert send_without_end(raw) < MOST
        peak = peak_of(daemon.live.pid) if daemon.is_alive() else 0
    print(f"the front had at most {peak >> 20} MiB and {'lives' if daemon.is_alive() else 'ended'}")
    assert peak < 5 * floor
    daemon.kill()
    daemon.plan.pop("sabotage")
    daemon.start()
    with daemon.talk() as talk:
        assert {line["job"] for line in talk.ask("list")["jobs"]} >= {job}
        assert talk.run("image:64")["type"] == "done"


BOMBS = {
    "a million frames": [b"gesso/1", b"{}", *[b""] * 1_000_000],
    "a header of 1.9 MB": [b"gesso/1", b'{"type":"ping","id":"1","x":"' + b"y" * 1_900_000 + b'"}', b""],
    "10 000 levels": [b"gesso/1", b'{"type":"ping","id":"1","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", b""],
    "10 000 objects deep": [b"gesso/1", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b""],
    "an integer of 200 000 digits": [b"gesso/1", b'{"type":"ping","id":"1","x":' + b"9" * 200_000 + b"}", b""],
    "an exponent": [b"gesso/1", b'{"type":"ping","id":"1","x":1e999999999}', b""],
    "NaN": [b"gesso/1", b'{"type":"ping","id":"1","x":NaN}', b""],
    "20 000 keys": [b"gesso/1", json.dumps({f"{n:x}": 0 for n in range(20_000)}).encode(), b""],
}


def test_bombs_are_refused_at_once_and_cost_little(bounded: Daemon) -> None:
    pid = bounded.live.pid
    for name, frames in BOMBS.items():
        before = memory_of(pid)
        with bounded.talk(name="bomber") as talk:
            talk.socket.send_multipart(frames)  # copied: a million frames lent to libzmq have crashed it in the sender
            began = time.monotonic()
            answer = talk.receive(60).header
            took = time.monotonic() - began
            assert answer["error"]["code"] in ("too_large", "protocol"), name
        print(f"{name}: {answer['error']['code']} after {took * 1000:.0f} ms, {(peak_of(pid) - before) >> 20} MiB more at most")
    # A raw connection: libzmq can abort the process whose connection is ended like this.
    with contextlib.closing(shake_hands(bounded, "ipc")) as raw, contextlib.suppress(OSError):
        raw.sendall(b"\x02" + struct.pack(">Q", 10_000_000) + bytes(10_000_000))  # over the frame's limit: the connection ends
        while raw.recv(1 << 16):
            continue
    with bounded.talk() as talk:
        assert talk.run("image:64")["type"] == "done"
    assert peak_of(pid) < 160 << 20
