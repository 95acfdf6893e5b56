"""The client-facing sockets: ROUTERs with every setting that keeps strangers out and slow clients harmless, and the ZAP
policies behind them.

One socket a transport, because mechanism and ZAP domain belong to the socket: `ipc` is NULL behind a directory of mode
0700, `tcp` is PLAIN on loopback. A third domain, CURVE with authorised keys, has its place here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import zmq

from gesso.link.loop import LoopSocket, user_id
from gesso.link.zap import Claim, ZapHandler
from gesso.wire import auth
from gesso.wire.message import LIMITS

OWNER = "owner"
_HIGH_WATER = 16  # messages a peer may leave unread; 16 blob parts are 16 MiB

Deliver = Callable[["FrontSocket", bytes, str, list[bytes]], None]


class FrontSocket:
    """One bound ROUTER. ``transport`` is ``ipc`` or ``tcp``; messages come as (socket, route, user id, frames)."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], transport: str, endpoint: str, deliver: Deliver) -> None:
        self.transport = transport
        self._deliver = deliver
        socket = context.socket(zmq.ROUTER)
        _settle(socket, transport)
        socket.bind(endpoint)
        self.endpoint = str(socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self._socket = LoopSocket(socket, self._split)

    def send(self, route: bytes, frames: list[bytes]) -> bool:
        """False when the peer has too much unread; raises PeerGone."""
        return self._socket.send([route, *frames])

    def close(self, linger_ms: int) -> None:
        """Unbind; what was sent gets ``linger_ms`` to leave."""
        self._socket.close(linger_ms)

    def _split(self, frames: list[zmq.Frame]) -> None:
        self._deliver(self, frames[0].bytes, user_id(frames), [frame.bytes for frame in frames[1:]])


def _settle(socket: zmq.Socket[bytes], domain: str) -> None:
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
