"""Who may not come in, does not: every stranger of the matrix against the live sockets, and nothing of what they say is ever looked at."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from gesso.errors import Unauthorised
from gesso.wire import auth
from gesso.wire import message as wire

from .conftest import Make
from .talk import Daemon, Talk

FORGED = json.dumps({"type": "submit", "id": "1", "key": "x", "operation": "paint", "params": {"prompt": "image:64"}}).encode()


@pytest.fixture
def open_daemon(make_daemon: Make) -> Daemon:
    """A front that also listens on loopback tcp."""
    return make_daemon(tcp=True, prewarm=False).start()


def assert_untouched(daemon: Daemon) -> None:
    """Nothing was accepted, no request was even looked at, and the user is served as before."""
    info = daemon.info()
    with Talk(str(info.tcp), token=info.token) as talk:
        assert talk.ask("list")["total"] == 0
        metrics = talk.ask("status")["metrics"]
        assert (metrics["refused"], metrics["malformed"]) == (0, 0)
        assert talk.run("image:64")["type"] == "done"


def knock(daemon: Daemon, settle: Callable[[Any], None]) -> int:
    """Connect with these socket options, say hello and submit; how many answers came."""
    context: zmq.Context[Any] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    settle(dealer)
    dealer.connect(str(daemon.info().tcp))
    try:
        dealer.send_multipart(wire.encode({"type": "hello", "id": "1", "client": "x", "version": "0", "protocol": [1]}), flags=zmq.DONTWAIT)
        dealer.send_multipart([b"gesso/1", FORGED, b""], flags=zmq.DONTWAIT)
        return int(dealer.poll(400))
    except zmq.Again:
        return 0  # hung up on before it had said everything: libzmq has no connection left to send to
    finally:
        dealer.close()
        context.term()


def plain(user: str, password: str) -> Callable[[Any], None]:
    def settle(dealer: Any) -> None:
        dealer.plain_username, dealer.plain_password = user.encode(), password.encode()

    return settle


def test_no_wrong_proof_gets_in(open_daemon: Daemon) -> None:
    info = open_daemon.info()
    token, endpoint = str(info.token), str(info.tcp)
    nonce = auth.new_nonce()
    other = auth.new_token()
    strangers = {
        "NULL": lambda dealer: None,
        "the token itself": plain("x", token),
        "another token": plain(nonce, auth.client_proof(other, nonce, endpoint)),
        "another nonce": plain(nonce, auth.client_proof(token, auth.new_nonce(), endpoint)),
        "another port": plain(nonce, auth.client_proof(token, nonce, "127.0.0.1:1")),
        "the daemon's proof": plain(nonce, auth.daemon_proof(token, nonce, endpoint)),
        "an empty password": plain(nonce, " "),
        "a nonce that is none": plain("short", auth.client_proof(token, "short", endpoint)),
    }
    admitted = [name for name, settle in strangers.items() if knock(open_daemon, settle)]
    assert admitted == []
    assert_untouched(open_daemon)


def test_curve_is_not_spoken_here(open_daemon: Daemon) -> None:
    def settle(dealer: Any) -> None:
        dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
        dealer.curve_serverkey = zmq.curve_keypair()[0]

    assert knock(open_daemon, settle) == 0
    assert_untouched(open_daemon)


def test_a_nonce_is_good_once(open_daemon: Daemon) -> None:
    info = open_daemon.info()
    with Talk(str(info.tcp), token=info.token) as talk:
        assert talk.welcome["proof"] == auth.daemon_proof(str(info.token), str(talk.nonce), str(info.tcp))
        replayed = plain(str(talk.nonce), auth.client_proof(str(info.token), str(talk.nonce), str(info.tcp)))
        assert knock(open_daemon, replayed) == 0
    assert_untouched(open_daemon)


def test_hello_must_name_the_nonce_of_its_connection(open_daemon: Daemon) -> None:
    info = open_daemon.info()
    with Talk(str(info.tcp), token=info.token, hello=False) as talk:
        with pytest.raises(Unauthorised):
            talk.ask("hello", client="x", version="0", protocol=[1], nonce=auth.new_nonce())
        assert talk.ask("hello", client="x", version="0", protocol=[1], nonce=talk.nonce)["principal"] == "owner"


GREETINGS = {
    "ZMTP 1": b"\x01\x00" + b"\x01\x00" + bytes([8, 1]) + b"gesso/1" + struct.pack(">B", len(FORGED) + 1)[:1] + b"\x00" + FORGED,
    "ZMTP 2": b"\xff"
    + b"\x00" * 8
    + b"\x7f"
    + b"\x01\x05"
    + b"\x00\x00"
    + b"\x01\x07gesso/1"
    + b"\x01"
    + bytes([len(FORGED)])
    + FORGED
    + b"\x00\x00",
    "HTTP POST": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(FORGED), FORGED),
    "WebSocket": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "TLS": bytes.fromhex("160301007a010000760303") + bytes(120),
    "nothing": b"",
    "noise": bytes(range(256)) * 8,
}


def test_foreign_greetings_get_nowhere(open_daemon: Daemon) -> None:
    host, port = auth.address(str(open_daemon.info().tcp)).split(":")
    for name, greeting in GREETINGS.items():
        heard = greet(host, int(port), greeting)
        assert b"welcome" not in heard, name
        assert b"accepted" not in heard, name
    assert_untouched(open_daemon)


def greet(host: str, port: int, greeting: bytes) -> bytes:
    """What the port says to this."""
    heard = b""
    with socket.create_connection((host, port), timeout=5) as raw:
        raw.settimeout(0.3)
        raw.sendall(greeting)
        try:
            while chunk := raw.recv(4096):
                heard += chunk
        except (TimeoutError, ConnectionResetError):
            return heard
    return heard


def test_what_others_could_reach_is_closed_to_them(open_daemon: Daemon) -> None:
    home = open_daemon.home
    for path in home.private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    for path in (home.daemon_file, home.journal, home.lock_file, home.daemon_log, home.runtime / "nonce", home.socket_path()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    with open_daemon.talk() as talk:
        sha256 = talk.upload(b"private")
    assert stat.S_IMODE((home.blobs / sha256[:2] / sha256).stat().st_mode) == 0o400


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_cannot_connect_to_the_local_socket(open_daemon: Daemon) -> None:
    program = (
        "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "try: s.connect(sys.argv[1])\nexcept PermissionError: print('refused')\n"
    )
    path = str(open_daemon.home.socket_path())
    found = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=20, check=False)
    assert found.stdout.strip() == "refused", found.stderr


def test_the_link_admits_only_the_worker_that_was_spawned(open_daemon: Daemon) -> None:
    context: zmq.Context[Any] = zmq.Context()
    for user, password in (("worker", "00" * 32), ("owner", "x"), (None, None)):
        dealer = context.socket(zmq.DEALER)
        dealer.linger = 0
        if user and password:
            dealer.plain_username, dealer.plain_password = user.encode(), password.encode()
        dealer.connect(f"ipc://{open_daemon.home.socket_path().with_name('link.sock')}")
        dealer.send_multipart([b'{"type": "ready", "worker": "x", "pid": 1, "slots": 9, "info": {}}'])
        assert dealer.poll(200) == 0
        dealer.close()
    context.term()
    with open_daemon.talk() as talk:
        assert talk.ask("status")["workers"] == []
    assert_untouched(open_daemon)


def test_nothing_secret_reaches_the_logs(open_daemon: Daemon) -> None:
    info = open_daemon.info()
    with open_daemon.talk() as talk:
        assert talk.run("image:64 my-secret-prompt")["type"] == "done"
        job = talk.ask("list")["jobs"][0]["job"]
    text = "".join(path.read_text() for path in open_daemon.home.logs.iterdir())
    assert job in text
    assert "my-secret-prompt" not in text
    assert str(info.token) not in text
