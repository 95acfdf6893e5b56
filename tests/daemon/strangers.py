"""Strangers at a door: clients of libzmq with every mechanism, streams of old ZMTP and of browsers. Each says a `submit` of its name."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import zmq

from gesso.wire import auth
from gesso.wire.message import VERSION_FRAME
from gesso.wire.transport import Curve

Dealer = zmq.Socket[bytes]
Settle = Callable[[Dealer], None]


def submit(name: str) -> list[bytes]:
    """What a stranger would have the daemon do."""
    header = {"type": "submit", "id": "1", "key": name, "operation": "paint", "params": {"prompt": "x"}}
    return [VERSION_FRAME, json.dumps(header).encode(), b""]


def plain(token: str, endpoint: str) -> Settle:
    """A proof of this token."""

    def settle(dealer: Dealer) -> None:
        nonce = auth.new_nonce()
        dealer.plain_username = nonce.encode()
        dealer.plain_password = auth.client_proof(token, nonce, endpoint).encode()

    return settle


def curve(keys: Curve) -> Settle:
    """These keys."""

    def settle(dealer: Dealer) -> None:
        dealer.curve_serverkey = bytes.fromhex(keys.server_key)
        dealer.curve_publickey = bytes.fromhex(keys.public_key)
        dealer.curve_secretkey = bytes.fromhex(keys.secret_key)

    return settle


def nothing(_dealer: Dealer) -> None:
    """The mechanism NULL."""


def zmtp1(frames: list[bytes]) -> bytes:
    """Frames as ZMTP 1 writes them; it has no signature, which is why text can pass for it."""
    last = len(frames) - 1
    return b"".join(bytes([len(frame) + 1, int(i < last)]) + frame for i, frame in enumerate(frames))


def zmtp2(frames: list[bytes]) -> bytes:
    """Greeting, an empty identity, and frames."""
    last = len(frames) - 1
    written = b"".join(bytes([int(i < last), len(frame)]) + frame for i, frame in enumerate(frames))
    return b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00" + written


def http_post(frames: list[bytes]) -> bytes:
    """The naive forgery: the header as the body of a form."""
    return b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(frames[1]) + frames[1]


def browser_post(frames: list[bytes]) -> bytes:
    """What a page can make Firefox send. The request, read as ZMTP 1, is frames of odd lengths; the body, which is the page's to choose,
    first fills up the frame that the text left open, ends its message, and then says what it likes.
    """
    head = (
        f"POST /{'a' * 100} HTTP/1.1\r\nHost: 127.0.0.1:7421\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: */*\r\n"
        "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://evil.example/\r\n"
        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 999\r\nOrigin: https://evil.example\r\n"
        "Connection: keep-alive\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: cross-site\r\n\r\n"
    ).encode()
    position = 0
    while position < len(head):
        position += 1 + head[position]
    body = bytes(position - len(head)) + zmtp1([b""]) + zmtp1(frames)
    return head.replace(b"999", b"%3d" % len(body)) + body


RAW: dict[str, Callable[[list[bytes]], bytes]] = {
    "ZMTP 1": lambda frames: b"\x01\x00" + zmtp1(frames),
    "ZMTP 2": zmtp2,
    "HTTP POST": http_post,
    "browser POST": browser_post,
}


def dial(endpoint: str) -> socket.socket:
    """A raw connection to an endpoint of libzmq."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(rest)
        return raw
    host, _, port = rest.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)
