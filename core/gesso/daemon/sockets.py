"""The client-facing sockets: ROUTERs with every setting that keeps strangers out and slow clients harmless, and the ZAP
policies behind them.

One socket a transport, because mechanism and ZAP domain belong to the socket: `ipc` is NULL behind a directory of mode
0700, `tcp` is PLAIN on loopback, `curve` is CURVE with authorised keys on whatever address the owner names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import zmq

from gesso.daemon.connections import Connections
from gesso.errors import UsageError
from gesso.link.loop import LoopSocket, user_id
from gesso.link.zap import Claim, ZapHandler
from gesso.wire import auth, keys
from gesso.wire.home import Home
from gesso.wire.message import LIMITS

OWNER = "owner"
_HIGH_WATER = 16  # messages a peer may leave unread; 16 blob parts are 16 MiB
_FRAMES = 8  # a message has a route and three; more are counted as they go by, and thrown away

Deliver = Callable[["FrontSocket", bytes, str, list[bytes]], None]


class FrontSocket:
    """One bound ROUTER. ``transport`` is ``ipc``, ``tcp`` or ``curve``; messages come as (socket, route, user id, frames)."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], transport: str, endpoint: str, deliver: Deliver, secret: bytes | None = None
    ) -> None:
        self.transport = transport
        self._deliver = deliver
        socket = context.socket(zmq.ROUTER)
        _settle(socket, transport, secret)
        self.connections = Connections(socket)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError:
            self.connections.close()
            socket.close()
            raise
        self.endpoint = str(socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self._socket = LoopSocket(socket, self._split, _FRAMES)

    def send(self, route: bytes, frames: list[bytes]) -> bool:
        """False when the peer has too much unread; raises PeerGone."""
        return self._socket.send([route, *frames])

    def close(self, linger_ms: int) -> None:
        """Unbind; what was sent gets ``linger_ms`` to leave."""
        self.connections.close()
        self._socket.close(linger_ms)

    def _split(self, frames: list[zmq.Frame]) -> None:
        route = frames[0].bytes
        self.connections.heard(route, frames)
        self._deliver(self, route, user_id(frames), [frame.bytes for frame in frames[1:]])


def _settle(socket: zmq.Socket[bytes], domain: str, secret: bytes | None) -> None:
    socket.router_mandatory = True
    socket.sndhwm = socket.rcvhwm = _HIGH_WATER
    socket.maxmsgsize = LIMITS["frame_bytes"]
    socket.linger = 0
    socket.handshake_ivl = 3000
    socket.heartbeat_ivl = 5000
    socket.heartbeat_timeout = 15000
    socket.heartbeat_ttl = 20000
    socket.backlog = 512
    socket.zap_domain = domain.encode()
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    if domain == "tcp":
        socket.plain_server = True
    elif domain == "curve":
        socket.curve_server = True
        socket.curve_secretkey = secret or b""


def open_ipc(context: zmq.Context[zmq.Socket[bytes]], zap: ZapHandler, path: Path, deliver: Deliver) -> FrontSocket:
    """The local socket. The caller holds the lock, so a socket file that is there belongs to nobody."""
    zap.register("ipc", lambda claim: OWNER if claim.mechanism == "NULL" else None)
    path.unlink(missing_ok=True)
    return FrontSocket(context, "ipc", f"ipc://{path}", deliver)


def open_tcp(context: zmq.Context[zmq.Socket[bytes]], zap: ZapHandler, token: str, deliver: Deliver) -> FrontSocket:
    """A loopback socket on a port of the system's choice, for whoever can read the token."""
    policy = PlainPolicy(token)
    zap.register("tcp", policy)
    socket = FrontSocket(context, "tcp", "tcp://127.0.0.1:*", deliver)
    policy.endpoint = socket.endpoint
    return socket


class PlainPolicy:
    """PLAIN with nonce and HMAC: admits a proof of the token, each nonce once. Refuses everybody until ``endpoint`` is known."""

    def __init__(self, token: str) -> None:
        self.endpoint: str | None = None
        self._token = token
        self._spent: set[str] = set()  # only holders of the token can make it grow

    def __call__(self, claim: Claim) -> str | None:
        """The user id ``owner:<nonce>``, or None."""
        if claim.mechanism != "PLAIN" or len(claim.secrets) != 2 or self.endpoint is None:
            return None
        nonce, proof = (secret.decode("utf-8", "replace") for secret in claim.secrets)
        if not auth.is_nonce(nonce) or not auth.matches(proof, auth.client_proof(self._token, nonce, self.endpoint)):
            return None
        if nonce in self._spent:
            return None
        self._spent.add(nonce)
        return f"{OWNER}:{nonce}"


def check_listen(home: Home, endpoint: str) -> None:
    """Whether a daemon may listen on ``endpoint``: only with CURVE and an authorised key. Raises UsageError with the reason."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if not endpoint.startswith("tcp://") or not host or host == "*" or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise UsageError(f"{endpoint!r} is not an address such as tcp://10.0.0.5:7421.", field="listen")
    if not zmq.has("curve"):
        raise UsageError(
            f"The daemon does not listen on {endpoint}: this libzmq knows no CURVE, and nothing else keeps strangers out there.",
            field="listen",
            hint="Install pyzmq from its wheels: pip install --force-reinstall pyzmq",
        )
    if not keys.authorised(home):
        raise UsageError(
            f"The daemon does not listen on {endpoint}: no key is authorised, so it could let nobody in.",
            field="listen",
            hint="`gesso keys new` on the other machine prints its public key; `gesso keys authorize NAME KEY` here lets it in.",
        )


def open_curve(context: zmq.Context[zmq.Socket[bytes]], zap: ZapHandler, home: Home, endpoint: str, deliver: Deliver) -> FrontSocket:
    """A socket for other machines, for the keys that are authorised; raises UsageError where the address cannot be had."""
    secret = bytes.fromhex(keys.daemon_pair(home).secret)
    zap.register("curve", KeyPolicy(home))
    try:
        return FrontSocket(context, "curve", endpoint, deliver, secret)
    except zmq.ZMQError as fault:
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        raise UsageError(f"The daemon cannot listen on {endpoint}: {reason[:1].lower()}{reason[1:]}.", field="listen") from fault


class KeyPolicy:
    """CURVE: admits the keys that are authorised at this very moment, each as a principal of its own."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def __call__(self, claim: Claim) -> str | None:
        """The key's principal, or None."""
        if claim.mechanism != "CURVE" or len(claim.secrets) != 1:
            return None
        given = claim.secrets[0].hex()
        return next((key.principal for key in keys.authorised(self._home) if key.public == given), None)
