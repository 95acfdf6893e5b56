"""A DEALER on the standard library: the state machine of `zmtp` on a socket, with an I/O thread of its own.

The thread answers PING while the host is busy and sends heartbeats of its own. It never dials again: that is the client's matter.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from typing import Callable, Deque, List, Optional, Sequence, Tuple

from ..errors import GessoError, Unreachable
from .queued import HEARTBEAT_SECONDS, SILENCE_SECONDS, TTL_SECONDS, QueuedWire, unreachable
from .transport import Credentials, Curve, parse_endpoint
from .zmtp import Connection, Event, Failed, Pinged, Ready, Received

READ_BYTES = 256 * 1024


class Dealer(QueuedWire):
    """An open connection; see `transport.Wire`."""

    def __init__(self, sock: socket.socket, connection: Connection, on_readable: Optional[Callable[[], None]] = None) -> None:
        super().__init__(on_readable)
        self._socket = sock
        self._connection = connection
        self._chunks: Deque[Tuple[memoryview, int]] = deque()
        self._heard = self._pinged = time.monotonic()
        self._silence = SILENCE_SECONDS

    @classmethod
    def connect(cls, endpoint: str, credentials: Credentials, timeout: float, on_readable: Optional[Callable[[], None]] = None) -> "Dealer":
        """Dial and shake hands within ``timeout`` seconds; raises Unreachable, Unauthorised or ProtocolError."""
        if isinstance(credentials, Curve):
            raise Unreachable("CURVE needs pyzmq.")
        deadline = time.monotonic() + timeout
        sock = _dial(endpoint, credentials, timeout)
        dealer = cls(sock, Connection(credentials), on_readable)
        try:
            dealer._shake_hands(deadline)
        except OSError as fault:
            dealer._release()
            raise unreachable(endpoint, fault) from fault
        except GessoError:
            dealer._release()
            raise
        sock.setblocking(False)
        dealer._thread.start()
        return dealer

    def _shake_hands(self, deadline: float) -> None:
        ready = False
        while not ready:
            for chunk in self._connection.take():
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                self._socket.sendall(chunk)
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(READ_BYTES)
            events = self._connection.feed(data) if data else self._connection.end()
            self._apply(events)
            if self._error is not None:
                raise self._error
            ready = any(isinstance(event, Ready) for event in events)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._awake, selectors.EVENT_READ)
            while not self._over:
                self._turn(selector)

    def _turn(self, selector: selectors.BaseSelector) -> None:
        """Send what there is, wait for the socket, a wake-up or the next heartbeat, and read what came."""
        self._write()
        reading = self._hungry
        _watch(selector, self._socket, (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if self._chunks else 0))
        ready = {key.fileobj: mask for key, mask in selector.select(self._beat(reading))}
        if self._awake in ready:
            self._slept()
        if ready.get(self._socket, 0) & selectors.EVENT_READ:
            self._read()

    def _beat(self, reading: bool) -> float:
        """Send a PING when one is due, give up after too long a silence; gives the seconds until the next of either."""
        now = time.monotonic()
        if not reading:
            self._heard = now
        if now - self._heard > self._silence:
            self._lose(Unreachable(f"The daemon gave no sign of life for {self._silence:.0f} s."))
            return 0.0
        if now - self._pinged >= HEARTBEAT_SECONDS:
            self._pinged = now
            self._connection.ping(TTL_SECONDS)
            return 0.0
        return max(0.0, min(self._pinged + HEARTBEAT_SECONDS, self._heard + self._silence) - now) + 0.001

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        self._heard = time.monotonic()
        self._apply(self._connection.feed(data) if data else self._connection.end())

    def _apply(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                self._deliver(event.frames)
            elif isinstance(event, Pinged) and event.ttl > 0:
                self._silence = max(SILENCE_SECONDS, event.ttl)
            elif isinstance(event, Failed):
                self._lose(event.error)

    def _write(self) -> None:
        """Send until the socket is full or nothing is left. A chunk carries the bytes to count as sent with its end."""
        while True:
            self._encode()
            if not self._chunks:
                return
            chunk, credit = self._chunks[0]
            try:
                count = self._socket.send(chunk)
            except (BlockingIOError, InterruptedError):
                return
            if count < len(chunk):
                self._chunks[0] = (chunk[count:], credit)
                continue
            self._chunks.popleft()
            if credit:
                self._sent(credit)

    def _encode(self) -> None:
        """Commands first; a message only when all before it is gone, so that a PONG never waits behind a queue."""
        self._take(0)
        if not self._chunks:
            frames = self._next()
            if frames is not None:
                self._connection.send(frames)
                self._take(sum(map(len, frames)))

    def _take(self, credit: int) -> None:
        chunks: List[memoryview] = [memoryview(chunk) for chunk in self._connection.take()]
        self._chunks.extend((chunk, 0) for chunk in chunks[:-1])
        self._chunks.extend((chunk, credit) for chunk in chunks[-1:])

    def _release(self) -> None:
        self._socket.close()
        super()._release()


def _watch(selector: selectors.BaseSelector, sock: socket.socket, wanted: int) -> None:
    watched = sock in selector.get_map()
    if wanted and watched:
        selector.modify(sock, wanted)
    elif wanted:
        selector.register(sock, wanted)
    elif watched:
        selector.unregister(sock)


def _dial(endpoint: str, credentials: Credentials, timeout: float) -> socket.socket:
    address = parse_endpoint(endpoint, credentials)
    try:
        if not isinstance(address, str):
            sock = socket.create_connection(address, timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except (OSError, OverflowError, AttributeError) as fault:  # AttributeError: no local sockets on this platform
        raise unreachable(endpoint, fault) from fault
    try:
        sock.settimeout(timeout)
        sock.connect(address)
    except OSError as fault:
        sock.close()
        raise unreachable(endpoint, fault) from fault
    return sock
