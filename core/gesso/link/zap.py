"""The authenticator behind every socket of the front: it answers ZAP 1.0 requests by asking the policy of the socket's
domain. It holds no policy of its own, and a domain that nobody registered admits nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq

from gesso.link.loop import LoopSocket

ENDPOINT = "inproc://zeromq.zap.01"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """What a connecting peer shows: ``secrets`` is empty for NULL, (user, password) for PLAIN, (public key,) for CURVE."""

    mechanism: str
    address: str
    secrets: tuple[bytes, ...]


Policy = Callable[[Claim], str | None]


class ZapHandler:
    """Runs on the loop from construction until `close`; build it before any socket of ``context`` is bound."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._policies: dict[str, Policy] = {}
        self.refused = 0
        socket = context.socket(zmq.REP)
        socket.linger = 0
        socket.bind(ENDPOINT)
        self._socket = LoopSocket(socket, self._answer)

    def register(self, domain: str, policy: Policy) -> None:
        """``policy`` returns the user id under which the peer's messages arrive, or None to refuse it."""
        self._policies[domain] = policy

    def close(self) -> None:
        """From now on nobody new gets in."""
        self._socket.close(0)

    def _answer(self, frames: list[zmq.Frame]) -> None:
        request = [frame.bytes for frame in frames]
        user = self._decide(request)
        if user is None:
            self.refused += 1
        status, text, name = (b"400", b"refused", b"") if user is None else (b"200", b"OK", user.encode())
        self._socket.send([b"1.0", request[1] if len(request) > 1 else b"", status, text, name, b""])

    def _decide(self, request: Sequence[bytes]) -> str | None:
        if len(request) < 6 or request[0] != b"1.0":
            return None
        domain, address, mechanism = (request[i].decode("utf-8", "replace") for i in (2, 3, 5))
        policy = self._policies.get(domain)
        try:
            user = policy(Claim(mechanism, address, tuple(request[6:]))) if policy else None
        except Exception:
            _log.exception("the policy of the ZAP domain failed; the peer is refused", extra={"domain": domain})
            return None
        if user is None:
            _log.warning("a peer was refused", extra={"domain": domain, "mechanism": mechanism, "address": address})
        return user
