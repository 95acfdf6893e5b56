"""Both dealers against libzmq: they do the same, over both transports."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from gesso.errors import ProtocolError, TooLarge, Unauthorised, Unreachable
from gesso.wire import auth
from gesso.wire.dealer import Dealer
from gesso.wire.message import LIMITS
from gesso.wire.transport import Credentials, Curve, Wire, open_wire
from gesso.wire.zmq_dealer import ZmqDealer
from gesso.wire.zmtp import Null, Plain

from .router import TOKEN, Router

Opener = Callable[..., Wire]


def credentials_for(endpoint: str) -> Credentials:
    if endpoint.startswith("ipc"):
        return Null()
    nonce = auth.new_nonce()
    return Plain(nonce, auth.client_proof(TOKEN, nonce, endpoint))


@pytest.fixture(params=["ipc", "tcp"])
def router(request: pytest.FixtureRequest, home: Path) -> Iterator[Router]:
    router = Router(request.param, home)
    yield router
    router.close()


@pytest.fixture
def tcp_router(home: Path) -> Iterator[Router]:
    router = Router("tcp", home)
    yield router
    router.close()


@pytest.fixture(params=["own", "pyzmq"])
def opener(request: pytest.FixtureRequest) -> Iterator[Opener]:
    opened: list[Wire] = []

    def open_one(endpoint: str, credentials: Credentials | None = None, **options: object) -> Wire:
        wire = open_wire(
            endpoint,
            credentials_for(endpoint) if credentials is None else credentials,
            environ={"GESSO_WIRE": request.param},
            **options,  # type: ignore[arg-type]
        )
        assert isinstance(wire, Dealer if request.param == "own" else ZmqDealer)
        opened.append(wire)
        return wire

    yield open_one
    for wire in opened:
        wire.close(linger=0)


def test_messages_of_every_shape_come_back(router: Router, opener: Opener) -> None:
    wire = opener(router.endpoint)
    for frames in (
        [b"gesso/1", b"{}", b""],
        [b""],
        [b"x" * 255, b"y" * 256],
        [os.urandom(LIMITS["frame_bytes"])],
        [bytes([n]) * n for n in range(60)],
    ):
        wire.send(frames)
        assert wire.recv(10) == frames


def test_many_messages_keep_their_order(router: Router, opener: Opener) -> None:
    wire = opener(router.endpoint)
    sent = [[b"gesso/1", str(n).encode(), b"p" * (n * 37 % 5000)] for n in range(500)]
    for frames in sent:
        wire.send(frames)
    assert [wire.recv(10) for _ in sent] == sent


def test_several_threads_may_send_at_once(router: Router, opener: Opener) -> None:
    wire = opener(router.endpoint)

    def work(mark: bytes) -> None:
        for n in range(50):
            wire.send([mark, str(n).encode()])

    threads = [threading.Thread(target=work, args=(bytes([65 + n]),)) for n in range(4)]
    for thread in threads:
        thread.start()
    got = [wire.recv(10) for _ in range(200)]
    for thread in threads:
        thread.join()
    for mark in (b"A", b"B", b"C", b"D"):
        assert [int(m[1]) for m in got if m and m[0] == mark] == list(range(50))


def test_nothing_to_receive_is_none(router: Router, opener: Opener) -> None:
    assert opener(router.endpoint).recv(0.05) is None


def test_on_readable_is_called_for_a_message_and_for_the_end(router: Router, opener: Opener) -> None:
    called = threading.Event()
    wire = opener(router.endpoint, on_readable=called.set)
    wire.send([b"hello"])
    assert called.wait(10)
    assert wire.recv(10) == [b"hello"]
    called.clear()
    wire.close()
    assert called.wait(10)


def test_a_frame_over_the_limit_is_refused_before_it_is_sent(router: Router, opener: Opener) -> None:
    wire = opener(router.endpoint)
    with pytest.raises(TooLarge):
        wire.send([b"x" * (LIMITS["frame_bytes"] + 1)])
    with pytest.raises(ProtocolError):
        wire.send([])
    wire.send([b"still"])
    assert wire.recv(10) == [b"still"]


def test_what_came_before_the_end_can_still_be_taken(home: Path, opener: Opener) -> None:
    router = Router("ipc", home)
    wire = opener(router.endpoint)
    wire.send([b"last words"])
    assert wire.recv(10) == [b"last words"]
    router.close()
    with pytest.raises(Unreachable):
        wire.recv(10)
    with pytest.raises(Unreachable):
        wire.send([b"anybody?"])


def test_after_close_nothing_goes(router: Router, opener: Opener) -> None:
    wire = opener(router.endpoint)
    wire.close()
    wire.close()
    with pytest.raises(Unreachable):
        wire.send([b"x"])
    with pytest.raises(Unreachable):
        wire.recv(1)


@pytest.mark.parametrize("fault", ["replayed nonce", "wrong proof", "short proof"])
def test_wrong_credentials_are_unauthorised(tcp_router: Router, opener: Opener, fault: str) -> None:
    nonce = auth.new_nonce()
    good = Plain(nonce, auth.client_proof(TOKEN, nonce, tcp_router.endpoint))
    bad = {"replayed nonce": good, "wrong proof": Plain(auth.new_nonce(), good.password), "short proof": Plain(auth.new_nonce(), "00")}
    if fault == "replayed nonce":
        opener(tcp_router.endpoint, good)
    with pytest.raises(Unauthorised):
        opener(tcp_router.endpoint, bad[fault])
    assert tcp_router.admitted[-1] == (b"PLAIN", False)


def test_nobody_there_is_unreachable(home: Path, opener: Opener) -> None:
    with pytest.raises(Unreachable, match=r"nobody\.sock"):
        opener(f"ipc://{home}/nobody.sock", timeout=1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            opener(f"tcp://127.0.0.1:{taken.getsockname()[1]}", timeout=1.0)


def test_a_silent_peer_is_unreachable_after_the_timeout(home: Path, opener: Opener) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{home}/silent.sock")
        listener.listen(5)
        began = time.monotonic()
        with pytest.raises((Unreachable, Unauthorised)):
            opener(f"ipc://{home}/silent.sock", timeout=0.3)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("endpoint", "credentials", "error"),
    [
        ("tcp://127.0.0.1:9", Null(), Unauthorised),
        ("tcp://192.0.2.1:9", Plain("u", "p"), Unauthorised),
        ("tcp://127.0.0.1", Plain("u", "p"), Unreachable),
        ("tcp://127.0.0.1:port", Plain("u", "p"), Unreachable),
        ("http://127.0.0.1:80", Plain("u", "p"), Unreachable),
        ("ipc://", Null(), Unreachable),
        ("", Null(), Unreachable),
    ],
)
def test_endpoints_that_are_refused(opener: Opener, endpoint: str, credentials: Credentials, error: type[Exception]) -> None:
    with pytest.raises(error):
        opener(endpoint, credentials)


def test_curve_goes_through_libzmq(home: Path) -> None:
    server_public, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server = context.socket(zmq.ROUTER)
    server.curve_server = True
    server.curve_secretkey = server_secret
    port = server.bind_to_random_port("tcp://127.0.0.1")
    wire = open_wire(f"tcp://127.0.0.1:{port}", Curve(*(z85.decode(key).hex() for key in (server_public, public, secret))))
    assert isinstance(wire, ZmqDealer)
    wire.send([b"sealed"])
    assert server.recv_multipart()[1:] == [b"sealed"]
    wire.close()
    server.close(linger=0)
    context.term()


def test_our_dealer_answers_pings_while_the_host_sleeps(home: Path) -> None:
    router = Router("ipc", home, heartbeat_ivl=100, heartbeat_timeout=1500, heartbeat_ttl=5000)
    wire = Dealer.connect(router.endpoint, Null(), 5.0)
    time.sleep(2.2)
    wire.send([b"still here"])
    assert wire.recv(10) == [b"still here"]
    wire.close()
    router.close()


def test_our_dealer_sends_heartbeats_and_notices_silence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesso.wire.dealer.HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr("gesso.wire.dealer.SILENCE_SECONDS", 2.0)
    router = Router("ipc", home)
    lively = Dealer.connect(router.endpoint, Null(), 5.0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{home}/dead.sock")
        listener.listen(1)
        opened: list[Dealer] = []
        dialling = threading.Thread(target=lambda: opened.append(Dealer.connect(f"ipc://{home}/dead.sock", Null(), 5.0)))
        dialling.start()
        peer, _ = listener.accept()
        with peer:
            ready = b"\x05READY" + b"\x0bSocket-Type\x00\x00\x00\x06ROUTER"
            peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32) + bytes([4, len(ready)]) + ready)
            dialling.join()
            with pytest.raises(Unreachable, match="no sign of life"):
                opened[0].recv(10)
        opened[0].close(linger=0)
    lively.send([b"alive: libzmq answered every PING"])
    assert lively.recv(10)
    lively.close()
    router.close()


def test_what_waits_is_bounded_in_both_directions(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesso.wire.queued.QUEUE_BYTES", 200_000)
    monkeypatch.setattr("gesso.wire.queued.SEND_SECONDS", 0.3)
    router = Router("ipc", home)
    wire = Dealer.connect(router.endpoint, Null(), 5.0)
    big = [b"x" * 50_000]
    for _ in range(100):
        wire.send(big)
    with wire._changed:
        assert wire._inbox_bytes <= 200_000 + 2 * 256 * 1024
    assert [wire.recv(10) for _ in range(100)] == [big] * 100
    wire.close()
    router.close()


def test_a_daemon_that_takes_nothing_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesso.wire.queued.QUEUE_BYTES", 100_000)
    monkeypatch.setattr("gesso.wire.queued.SEND_SECONDS", 0.2)
    router = Router("ipc", home, rcvhwm=1)
    wire = Dealer.connect(router.endpoint, Null(), 5.0)
    router.paused.set()

    def flood() -> None:
        for _ in range(5000):
            wire.send([b"x" * 90_000])

    with pytest.raises(Unreachable, match="taken nothing"):
        flood()
    wire.close(linger=0)
    router.paused.clear()
    router.close()
