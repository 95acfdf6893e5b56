"""The connected clients: what each may be told, what it watches, and what waits because it does not read. It understands no request.

A peer's requests are served one after the other. An answer that does not fit waits and holds up only that peer; events that do not fit are
coalesced, newest wins, one of each type a job, so that nobody can make the front hoard.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from gesso.daemon.sockets import OWNER, FrontSocket
from gesso.daemon.stream import Event
from gesso.errors import Busy, ProtocolError
from gesso.link.loop import PeerGone
from gesso.wire import message as wire

_log = logging.getLogger(__name__)
_INBOX_MESSAGES = 256
_INBOX_BYTES = 16 << 20
_PEERS = 4096
_RETRY_FIRST, _RETRY_LAST = 0.005, 0.25
_PATIENCE = 60.0


class Peer:
    """One connection. ``nonce`` is that of its PLAIN handshake; ``client`` is empty until it said hello."""

    def __init__(self, socket: FrontSocket, route: bytes, user: str) -> None:
        self.socket = socket
        self.route = route
        self.user = user
        self.principal, _, self.nonce = user.partition(":")
        self.client = ""
        self.watches: dict[str, int] = {}
        self.inbox: deque[wire.Message] = deque()
        self.inbox_bytes = 0
        self.task: asyncio.Task[None] | None = None
        self.gone = False
        self._pending: OrderedDict[tuple[str, str], Event] = OrderedDict()
        self._delay = _RETRY_FIRST
        self._timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> tuple[str, bytes]:
        """What tells connections apart."""
        return self.socket.transport, self.route

    @property
    def sees_all(self) -> bool:
        """Whether this is the daemon's own user."""
        return self.principal == OWNER

    def offer(self, event: Event) -> None:
        """Send an event now, or keep the newest of its type for when the peer reads again."""
        job = str(event.header["job"])
        if self.gone or job not in self.watches or event.seq <= self.watches[job]:
            return
        if not self._pending and self._send_event(job, event):
            return
        if event.terminal:  # pictures of what is over are not worth keeping for a client that does not read
            self._pending.pop((job, "preview"), None)
        self._pending.pop((job, event.type), None)
        self._pending[(job, event.type)] = event
        self._arm()

    def unwatch(self, job: str) -> None:
        """It wants to hear no more of this job."""
        self.watches.pop(job, None)
        for key in [key for key in self._pending if key[0] == job]:
            del self._pending[key]

    async def answer(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        """Send an answer, waiting for room; a peer that reads nothing for a minute is given up. Raises PeerGone."""
        frames = wire.encode(header, payload)
        delay, waited = _RETRY_FIRST, 0.0
        while not self.socket.send(self.route, frames):
            if waited > _PATIENCE:
                raise PeerGone("The client does not read its answers.")
            await asyncio.sleep(delay)
            waited += delay
            delay = min(delay * 2, _RETRY_LAST)

    def greet(self, client: str) -> None:
        """It said hello, perhaps again under an old routing id: it watches nothing yet."""
        self.client = client
        self.watches.clear()
        self._pending.clear()

    def close(self) -> None:
        """Forget what it waits for."""
        self.gone = True
        self._pending.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is None and not self.gone:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._flush)
            self._delay = min(self._delay * 2, _RETRY_LAST)

    def _flush(self) -> None:
        self._timer = None
        while self._pending and not self.gone:
            (job, kind), event = next(iter(self._pending.items()))
            if not self._send_event(job, event):
                self._arm()
                return
            self._pending.pop((job, kind), None)
            self._delay = _RETRY_FIRST

    def _send_event(self, job: str, event: Event) -> bool:
        try:
            sent = self.socket.send(self.route, wire.encode(event.header, event.payload))
        except PeerGone:
            self.close()
            return True
        if sent and job in self.watches:
            if event.terminal:
                del self.watches[job]
            else:
                self.watches[job] = event.seq
        return sent


Serve = Callable[[Peer, wire.Message], Coroutine[Any, Any, None]]
Forget = Callable[[Peer], None]


class Peers:
    """All connections. ``serve`` handles one request; ``forget`` is told when a peer is gone."""

    def __init__(self, serve: Serve, forget: Forget) -> None:
        self._serve = serve
        self._forget = forget
        self._peers: OrderedDict[tuple[str, bytes], Peer] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.malformed = 0

    def __len__(self) -> int:
        return len(self._peers)

    def deliver(self, socket: FrontSocket, route: bytes, user: str, frames: list[bytes]) -> None:
        """A message has arrived: decode it, queue it behind the peer's others."""
        peer = self._peer(socket, route, user)
        try:
            message = wire.decode(frames)
        except ProtocolError as fault:
            self.malformed += 1
            self._try_error(peer, fault)
            return
        if len(peer.inbox) >= _INBOX_MESSAGES or peer.inbox_bytes + len(message.payload) > _INBOX_BYTES:
            self._try_error(peer, Busy("Too many requests at once on this connection.", details={"retry_after": 1.0}), message)
            return
        peer.inbox.append(message)
        peer.inbox_bytes += len(message.payload)
        if peer.task is None:
            peer.task = asyncio.get_running_loop().create_task(self._work(peer))
            self._tasks.add(peer.task)
            peer.task.add_done_callback(self._tasks.discard)

    def publish(self, event: Event) -> None:
        """Offer an event to everybody who watches its job."""
        job = event.header["job"]
        for peer in list(self._peers.values()):
            if job in peer.watches:
                peer.offer(event)
                if peer.gone:
                    self._drop(peer)

    def keep_only(self, transport: str, principals: Collection[str]) -> None:
        """End the connections of everybody else on this transport: their keys were revoked."""
        for peer in [peer for peer in self._peers.values() if peer.socket.transport == transport and peer.principal not in principals]:
            _log.warning("a key was revoked: its connection ends", extra={"principal": peer.principal})
            peer.socket.connections.cut(peer.route)
            self._drop(peer)

    def tidy(self) -> None:
        """Drop those that were found to be gone."""
        for peer in [peer for peer in self._peers.values() if peer.gone]:
            self._drop(peer)

    def close(self) -> None:
        """Stop serving."""
        for task in self._tasks:
            task.cancel()
        for peer in self._peers.values():
            peer.close()

    def _peer(self, socket: FrontSocket, route: bytes, user: str) -> Peer:
        key = (socket.transport, route)
        peer = self._peers.get(key)
        if peer is None or peer.gone or peer.user != user:
            peer = self._peers[key] = Peer(socket, route, user)
            if len(self._peers) > _PEERS:
                idle = next(
                    (other for other in self._peers.values() if not other.watches and other.task is None and other is not peer), None
                )
                if idle is not None:
                    self._drop(idle)
        self._peers.move_to_end(key)
        return peer

    async def _work(self, peer: Peer) -> None:
        try:
            while peer.inbox and not peer.gone:
                message = peer.inbox.popleft()
                peer.inbox_bytes -= len(message.payload)
                await self._serve(peer, message)
        except PeerGone:
            self._drop(peer)
        finally:
            peer.task = None

    def _drop(self, peer: Peer) -> None:
        peer.close()
        if self._peers.get(peer.key) is peer:
            del self._peers[peer.key]
        self._forget(peer)

    def _try_error(self, peer: Peer, fault: ProtocolError | Busy, message: wire.Message | None = None) -> None:
        re = message.header.get("id") if message else None
        header = {"type": "error", "error": fault.to_wire(), **({"re": re} if isinstance(re, str) else {})}
        try:
            peer.socket.send(peer.route, wire.encode(header))
        except PeerGone:
            self._drop(peer)
        except ProtocolError:
            _log.info("an error could not be told to a client", extra={"code": fault.code})
