"""Our DEALER on a real socket against peers that misbehave: an error with a sentence each time, and no thread or file left over."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gesso.errors import GessoError, ProtocolError, TooLarge, Unauthorised, Unreachable
from gesso.wire.dealer import Dealer
from gesso.wire.zmtp import Null

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1e\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
READY = READY[:1] + bytes([len(READY) - 2]) + READY[2:]


@contextmanager
def peer(home: Path, behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener that does one thing to its one guest."""
    path = f"{home}/p.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(10)

        def serve() -> None:
            guest, _ = listener.accept()
            with guest:
                guest.settimeout(10)
                behave(guest)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"ipc://{path}"
        thread.join(10)
    os.unlink(path)


def talk(stream: bytes) -> Callable[[socket.socket], None]:
    def behave(guest: socket.socket) -> None:
        for start in range(0, len(stream), 65536):
            guest.sendall(stream[start : start + 65536])
        guest.shutdown(socket.SHUT_WR)
        while guest.recv(65536):
            pass

    return behave


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"", Unreachable),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError),
        (b"\x01\x00", ProtocolError),
        (b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00", ProtocolError),
        (GREETING[:40], Unreachable),
        (GREETING, Unauthorised),
        (GREETING + b"\x04\x0a\x05ERROR\x03400", Unauthorised),
        (GREETING + b"\x07garbage", ProtocolError),
        (GREETING + struct.pack(">BQ", 6, 1 << 50), TooLarge),
    ],
)
def test_in_the_handshake(home: Path, stream: bytes, error: type[GessoError]) -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with peer(home, talk(stream)) as endpoint, pytest.raises(error):
        Dealer.connect(endpoint, Null(), 5.0)
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"", Unreachable),
        (b"\x00\x05abc", Unreachable),
        (b"\x01\x01a", Unreachable),
        (b"\xf0\x00", ProtocolError),
        (struct.pack(">BQ", 2, 1 << 40), TooLarge),
        (b"\x02" + struct.pack(">Q", (2 << 20) + 1) + bytes((2 << 20) + 1), TooLarge),
        ((b"\x03" + struct.pack(">Q", 1 << 20) + bytes(1 << 20)) * 6, TooLarge),
    ],
)
def test_after_the_handshake(home: Path, stream: bytes, error: type[GessoError]) -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    connected = threading.Event()

    def behave(guest: socket.socket) -> None:
        guest.sendall(GREETING + READY)
        connected.wait(10)
        try:
            talk(b"\x00\x02ok" + stream)(guest)
        except (BrokenPipeError, ConnectionResetError):
            return  # the DEALER has heard enough

    with peer(home, behave) as endpoint:
        dealer = Dealer.connect(endpoint, Null(), 5.0)
        connected.set()
        assert dealer.recv(10) == [b"ok"]
        with pytest.raises(error):
            dealer.recv(10)
        with pytest.raises(error):
            dealer.send([b"too late"])
        dealer.close()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_a_peer_that_resets(home: Path) -> None:
    with peer(home, lambda guest: guest.sendall(GREETING)) as endpoint, pytest.raises(GessoError):
        Dealer.connect(endpoint, Null(), 5.0)


def test_a_peer_that_trickles_is_given_up(home: Path) -> None:
    stop = threading.Event()

    def behave(guest: socket.socket) -> None:
        for byte in GREETING:
            if stop.wait(0.05):
                return
            guest.sendall(bytes([byte]))

    with peer(home, behave) as endpoint:
        with pytest.raises(Unreachable, match="does not answer"):
            Dealer.connect(endpoint, Null(), 0.4)
        stop.set()
