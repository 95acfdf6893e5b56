"""Every stranger at every door, with an authenticator that is alive, dead or blocked: admitted only where it must be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from gesso.daemon import sockets
from gesso.errors import GessoError
from gesso.link.zap import ZapHandler
from gesso.wire import auth, keys
from gesso.wire.home import Home
from gesso.wire.transport import Curve, open_wire
from gesso.wire.zmtp import Plain

from . import strangers

TOKEN = auth.new_token()
RIGHT = {"ipc": "NULL", "tcp": "PLAIN, right", "curve": "CURVE, right"}


class Door:
    """One of the front's own sockets on a loop of its own; ``heard`` lists who got a message through."""

    def __init__(self, transport: str, home: Home) -> None:
        self.transport = transport
        self.home = home
        self.heard: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.call(self._open)

    def call(self, work: Any) -> Any:
        """Run it on the loop and wait."""

        async def on_loop() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(on_loop(), self.loop).result(20)

    def _open(self) -> None:
        self.zap = ZapHandler(self.context)
        if self.transport == "ipc":
            self.socket = sockets.open_ipc(self.context, self.zap, self.home.socket_path(), self._deliver)
        elif self.transport == "tcp":
            self.socket = sockets.open_tcp(self.context, self.zap, TOKEN, self._deliver)
        else:
            self.socket = sockets.open_curve(self.context, self.zap, self.home, "tcp://127.0.0.1:0", self._deliver)

    def _deliver(self, _socket: Any, _route: bytes, user: str, frames: list[bytes]) -> None:
        try:
            self.heard.append(str(json.loads(frames[1])["key"]))
        except (IndexError, ValueError, KeyError, TypeError):
            self.heard.append(f"something: {b'|'.join(frames)[:60]!r}")
        assert user, "nobody comes in without a name"

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """The loop stands still meanwhile, and the authenticator with it."""
        go = threading.Event()
        self.loop.call_soon_threadsafe(go.wait)
        try:
            yield
        finally:
            go.set()

    def close(self) -> None:
        self.call(lambda: (self.socket.close(0), self.zap.close()))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.context.destroy(linger=0)


@pytest.fixture
def state(home: Path) -> Home:
    found = Home.find(home)
    found.prepare()
    return found


@pytest.fixture
def door(state: Home, request: pytest.FixtureRequest) -> Iterator[Door]:
    made = Door(request.param, state)
    yield made
    made.close()


class Visitors:
    """All strangers and the one who may, at once: each keeps its connection until `close`."""

    def __init__(self, door: Door) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.raw: list[socket.socket] = []
        self.dealers: list[strangers.Dealer] = []
        said = {name: say(strangers.submit(name)) for name, say in strangers.RAW.items()}
        for name, settle in self._zmq(door).items():
            dealer = self.context.socket(zmq.DEALER)
            self.dealers.append(dealer)
            settle(dealer)
            dealer.connect(door.socket.endpoint)
            dealer.send_multipart(strangers.submit(name))
        for stream in said.values():
            self.raw.append(strangers.dial(door.socket.endpoint))
            with contextlib.suppress(OSError):  # hung up on already
                self.raw[-1].sendall(stream)

    @staticmethod
    def _zmq(door: Door) -> dict[str, strangers.Settle]:
        home = door.home
        server = keys.daemon_pair(home).public
        pairs = {name: keys.new_pair(home, name) for name in ("right", "wrong", "revoked")}
        keys.authorise(home, "right", pairs["right"].public)
        keys.authorise(home, "revoked", pairs["revoked"].public)
        keys.revoke(home, "revoked")
        right = pairs["right"]
        endpoint = door.socket.endpoint
        return {
            "NULL": strangers.nothing,
            "PLAIN, right": strangers.plain(TOKEN, endpoint),
            "PLAIN, another token": strangers.plain(auth.new_token(), endpoint),
            "PLAIN, another port": strangers.plain(TOKEN, "127.0.0.1:1"),
            "CURVE, right": strangers.curve(Curve(server, right.public, right.secret)),
            "CURVE, another key": strangers.curve(Curve(server, pairs["wrong"].public, pairs["wrong"].secret)),
            "CURVE, a revoked key": strangers.curve(Curve(server, pairs["revoked"].public, pairs["revoked"].secret)),
            "CURVE, another daemon": strangers.curve(Curve(right.public, right.public, right.secret)),
        }

    def close(self) -> None:
        for raw in self.raw:
            raw.close()
        for dealer in self.dealers:
            dealer.close(linger=0)
        self.context.term()


DOORS = pytest.mark.parametrize("door", ["ipc", "tcp", "curve"], indirect=True)


def settled(door: Door, least: int) -> list[str]:
    """Who was heard once nothing more comes."""
    deadline = time.monotonic() + 20
    while len(door.heard) < least and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.7)
    return door.heard


@DOORS
def test_with_a_living_authenticator_only_the_right_one_comes_in(door: Door) -> None:
    visitors = Visitors(door)
    try:
        assert settled(door, 1) == [RIGHT[door.transport]]
    finally:
        visitors.close()


@DOORS
def test_with_a_dead_authenticator_nobody_comes_in(door: Door) -> None:
    door.call(door.zap.close)
    visitors = Visitors(door)
    try:
        assert settled(door, 0) == []
    finally:
        visitors.close()


@DOORS
def test_with_a_blocked_authenticator_nobody_comes_in_before_it_answers(door: Door) -> None:
    with door.blocked():
        visitors = Visitors(door)
        assert settled(door, 0) == []
    try:
        assert settled(door, 1) == [RIGHT[door.transport]]
    finally:
        visitors.close()


@pytest.mark.parametrize("name", ["ZMTP 1", "ZMTP 2", "browser POST"])
def test_the_forgeries_are_real_an_open_socket_would_take_them(name: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    with contextlib.closing(strangers.dial(f"tcp://127.0.0.1:{port}")) as raw:
        raw.sendall(strangers.RAW[name](strangers.submit(name)))
        heard = []
        while router.poll(500):
            heard.append(router.recv_multipart()[1:])
    assert strangers.submit(name) in heard
    router.close(linger=0)
    context.term()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("door", ["ipc"], indirect=True)
def test_another_user_gets_nowhere_on_the_local_socket_whatever_it_says(door: Door) -> None:
    program = (
        "import os, socket, sys, zmq\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "dealer = zmq.Context().socket(zmq.DEALER); dealer.linger = 0\n"
        "dealer.connect('ipc://' + sys.argv[1]); dealer.send_multipart([b'gesso/1', b'{\"key\": \"nobody\"}', b''])\n"
        "raw = socket.socket(socket.AF_UNIX)\n"
        "try: raw.connect(sys.argv[1]); print('let in')\nexcept PermissionError: print('refused')\n"
        "dealer.poll(700)\n"
    )
    command = [sys.executable, "-c", program, str(door.home.socket_path())]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.strip() == "refused", found.stderr
    assert door.heard == []


@pytest.mark.parametrize("transport", ["tcp", "curve"])
def test_an_impostor_on_the_old_port_learns_nothing(state: Home, transport: str) -> None:
    """It listens where the daemon was and records every byte; the client's real DEALER greets it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        heard = bytearray()
        thread = threading.Thread(target=_record, args=(server, {"tcp": b"PLAIN", "curve": b"CURVE"}[transport], heard))
        thread.start()
        pair = keys.new_pair(state, "laptop")
        nonce = auth.new_nonce()
        proof = auth.client_proof(TOKEN, nonce, endpoint)
        credentials = Plain(nonce, proof) if transport == "tcp" else Curve("1" * 64, pair.public, pair.secret)
        with pytest.raises(GessoError):
            open_wire(endpoint, credentials, timeout=1.5)
        server.close()
        thread.join()
    assert heard, "nobody came"
    for secret in (TOKEN, bytes.fromhex(TOKEN), pair.secret, bytes.fromhex(pair.secret), "submit", 'hello"', b"gesso/1 client"):
        assert (secret.encode() if isinstance(secret, str) else secret) not in heard
    assert (proof.encode() in heard) == (transport == "tcp"), "a proof is good for this port and this token, both new at every start"


def _record(server: socket.socket, mechanism: bytes, heard: bytearray) -> None:
    """Greet as a server of ZMTP 3.1 would, and keep what is said."""
    with contextlib.suppress(OSError):
        raw, _ = server.accept()
        with raw:
            raw.settimeout(2)
            raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01" + mechanism.ljust(20, b"\0") + b"\x01" + bytes(31))
            while data := raw.recv(4096):
                heard.extend(data)
