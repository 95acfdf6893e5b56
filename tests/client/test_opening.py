"""Finding the daemon, proving it, and refusing what is not it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso.client import Client
from gesso.client.opening import Place, open_connection
from gesso.errors import GessoError, Unauthorised, Unreachable, UnsafeState, UsageError, VersionMismatch
from gesso.wire import auth, discovery
from gesso.wire.discovery import DaemonInfo
from gesso.wire.home import Home, make_private

from .fake_front import FakeFront


@pytest.fixture
def tcp_front(home: Path) -> Iterator[FakeFront]:
    front = FakeFront(Home.find(home), transport="tcp")
    yield front
    front.close()


@pytest.fixture
def ipc_front(home: Path) -> Iterator[FakeFront]:
    front = FakeFront(Home.find(home), transport="ipc")
    yield front
    front.close()


def publish(home: Path, **changes: object) -> None:
    info = {"protocol": 1, "version": "0.1.0", "pid": os.getpid(), "ipc": None, "tcp": None, "token": None, **changes}
    discovery.write(Home.find(home), DaemonInfo(**info))  # type: ignore[arg-type]


def test_over_tcp_both_sides_are_proved(tcp_front: FakeFront) -> None:
    with Client(start=False) as client:
        job = client.submit("generate")
        tcp_front.finish(job.id, b"x" * 3_000_000)
        assert len(job.result(20).images[0].read()) == 3_000_000
    hello = tcp_front.seen("hello")[0]
    assert auth.is_nonce(hello["nonce"])
    assert all(tcp_front.token not in json.dumps(dict(message.header)) for message in tcp_front.requests)


def test_after_a_restart_the_new_port_and_token_are_used(tcp_front: FakeFront) -> None:
    with Client(start=False, transport="tcp") as client:
        tcp_front.stop(clean=False)
        tcp_front.token = auth.new_token()
        tcp_front.start()
        client.ping()
    assert len({header["nonce"] for header in tcp_front.seen("hello")}) == 2


def test_an_impostor_learns_nothing(tcp_front: FakeFront) -> None:
    tcp_front.honest = False
    with pytest.raises(Unauthorised, match="could not prove"):
        Client(start=False)
    assert [message.type for message in tcp_front.requests] == ["hello"]


def test_a_stranger_s_token_opens_nothing(tcp_front: FakeFront, home: Path) -> None:
    publish(home, tcp=tcp_front.tcp, token=auth.new_token())
    with pytest.raises(Unauthorised):
        Client(start=False)
    assert tcp_front.requests == []


def test_the_transport_that_was_asked_for(ipc_front: FakeFront, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="does not listen on tcp") as caught:
        Client(start=False, transport="tcp")
    assert caught.value.field == "transport"
    with pytest.raises(UsageError, match="ipc, tcp"):
        Client(start=False, transport="pigeon")
    monkeypatch.setenv("GESSO_TRANSPORT", "tcp")
    with pytest.raises(UsageError, match="does not listen on tcp"):
        Client(start=False)
    with Client(start=False, transport="ipc") as client:
        client.ping()


def test_no_daemon(home: Path) -> None:
    with pytest.raises(Unreachable, match="No daemon is running") as caught:
        Client(start=False)
    assert caught.value.hint == "Start one with: gesso serve --detach"


def test_a_stale_daemon_file(home: Path) -> None:
    publish(home, ipc=f"ipc://{home}/run/front.sock")
    with pytest.raises(Unreachable, match="can be reached"):
        Client(start=False, transport="ipc")


def test_somebody_else_on_the_old_port(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        publish(home, tcp=f"tcp://127.0.0.1:{listener.getsockname()[1]}", token=auth.new_token())
        listener.settimeout(10)

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(GessoError, match=r"no Gesso daemon|can be reached|refused"):
            Client(start=False)
        thread.join()


def test_no_token(home: Path) -> None:
    publish(home, tcp="tcp://127.0.0.1:9")
    with pytest.raises(Unreachable, match="no token"):
        Client(start=False)


def test_a_daemon_file_of_another_protocol(home: Path) -> None:
    publish(home, protocol=2, version="7.0.0", pid=4711)
    with pytest.raises(VersionMismatch, match=r"Gesso 7\.0\.0.*version 2") as caught:
        Client(start=False)
    assert "4711" in str(caught.value.hint)


def test_a_welcome_of_another_protocol(front: FakeFront) -> None:
    front.version = 2
    with pytest.raises(VersionMismatch, match="version 2"):
        Client(start=False)
    front.refuse["hello"] = {"code": "version_mismatch", "message": "No.", "details": {"protocol": [3]}}
    with pytest.raises(VersionMismatch, match="another version"):
        Client(start=False)


def test_other_refusals_of_hello_are_passed_on(front: FakeFront) -> None:
    front.refuse["hello"] = {"code": "busy", "message": "Too many clients."}
    with pytest.raises(GessoError, match="Too many clients"):
        Client(start=False)


def test_a_listener_that_never_answers(front: FakeFront, home: Path) -> None:
    front.swallow["hello"] = 1
    with pytest.raises(Unreachable, match="does not answer"):
        open_connection(Place.find(home, None, "test"), timeout=0.3)


def test_a_deep_state_directory_has_its_socket_elsewhere_and_still_private(home: Path) -> None:
    deep = Home.find(home / ("deep" * 30))
    make_private(deep.socket_path().parent)
    front = FakeFront(deep, transport="ipc")
    try:
        with Client(start=False, home=deep, transport="ipc") as client:
            client.ping()
        deep.socket_path().parent.chmod(0o777)
        with pytest.raises(UnsafeState, match="0777"):
            Client(start=False, home=deep, transport="ipc")
    finally:
        front.close()
        shutil.rmtree(deep.socket_path().parent)
    with pytest.raises(Unreachable):
        Client(start=False, home=deep)


def test_state_that_others_can_reach_is_refused(front: FakeFront, home: Path) -> None:
    (home / "run").chmod(0o755)
    with pytest.raises(UnsafeState, match="0755"):
        Client(start=False)
    (home / "run").chmod(0o700)
    (home / "run" / "daemon.json").chmod(0o644)
    with pytest.raises(UnsafeState, match="0644"):
        Client(start=False)
