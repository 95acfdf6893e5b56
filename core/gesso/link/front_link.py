"""The front's end of the link: one ROUTER in the private runtime directory, one secret a worker. It maps workers to
connections and nothing else.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable

import zmq

from gesso.errors import ProtocolError
from gesso.link.loop import LoopSocket, PeerGone, user_id
from gesso.link.messages import Message, decode, encode
from gesso.link.worker_link import USER
from gesso.link.zap import Claim, ZapHandler

DOMAIN = "link"
_MESSAGE_BYTES = 1 << 30  # the largest blob that a worker may hand over
_UNREAD = 16  # messages that wait here while the front is busy; the rest waits with the worker that sent them
_log = logging.getLogger(__name__)

Receive = Callable[[str, Message], None]
Garbled = Callable[[str, ProtocolError], None]


class FrontLink:
    """``receive(worker, message)`` and ``garbled(worker, fault)`` run on the loop; workers are known by the name given to `admit`."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], zap: ZapHandler, endpoint: str, receive: Receive, garbled: Garbled) -> None:
        self.endpoint = endpoint
        self._receive = receive
        self._garbled = garbled
        self._secrets: dict[str, str] = {}
        self._routes: dict[str, bytes] = {}
        zap.register(DOMAIN, self._policy)
        socket = context.socket(zmq.ROUTER)
        socket.plain_server = True
        socket.zap_domain = DOMAIN.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.router_mandatory = True
        socket.sndhwm, socket.rcvhwm = 0, _UNREAD
        socket.maxmsgsize = _MESSAGE_BYTES
        socket.handshake_ivl = 5000
        socket.bind(endpoint)
        self._socket = LoopSocket(socket, self._deliver)

    def admit(self, worker: str) -> str:
        """Make the secret with which ``worker`` will connect."""
        self._secrets[worker] = secrets.token_hex(32)
        return self._secrets[worker]

    def forget(self, worker: str) -> None:
        """Its secret is void and its messages are ignored from now on."""
        self._secrets.pop(worker, None)
        self._routes.pop(worker, None)

    def send(self, worker: str, message: Message) -> bool:
        """False when the worker is not connected; its end is then reported by whoever watches the process."""
        route = self._routes.get(worker)
        if route is None:
            return False
        try:
            return self._socket.send([route, *encode(message)])
        except PeerGone:
            return False

    def close(self) -> None:
        """Disconnect every worker."""
        self._socket.close(200)

    def _policy(self, claim: Claim) -> str | None:
        if claim.mechanism != "PLAIN" or len(claim.secrets) != 2 or claim.secrets[0] != USER.encode():
            return None
        for worker, secret in self._secrets.items():
            if hmac.compare_digest(secret.encode(), claim.secrets[1]):
                return worker
        return None

    def _deliver(self, frames: list[zmq.Frame]) -> None:
        worker = user_id(frames)
        if worker not in self._secrets:
            return
        self._routes[worker] = frames[0].bytes
        try:
            message = decode([frame.bytes for frame in frames[1:]])
        except ProtocolError as fault:
            _log.error("a worker sent a message that cannot be read", extra={"worker": worker})
            self._garbled(worker, fault)
            return
        self._receive(worker, message)
