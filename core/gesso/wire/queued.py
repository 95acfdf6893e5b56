"""The half of a connection that its host sees: two bounded queues, and a thread that serves them. How bytes travel is for subclasses."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from typing import Callable, Deque, List, Optional, Sequence

from ..errors import GessoError, ProtocolError, TooLarge, Unreachable
from .message import LIMITS

QUEUE_BYTES = 64 * 1024 * 1024
SEND_SECONDS = 30.0
HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 15.0
TTL_SECONDS = 20.0


class QueuedWire:
    """At most ``QUEUE_BYTES`` wait in each direction; beyond that the connection is left unread, or `send` waits.

    The three public methods are those of `transport.Wire`. A subclass writes `_serve`, which runs on the I/O thread until `_over`, and
    wakes when ``_awake`` is readable.
    """

    def __init__(self, on_readable: Optional[Callable[[], None]] = None) -> None:
        self._on_readable = on_readable
        self._changed = threading.Condition()
        self._inbox: Deque[List[bytes]] = deque()
        self._inbox_bytes = 0
        self._outbox: Deque[List[bytes]] = deque()
        self._unsent = 0
        self._error: Optional[GessoError] = None
        self._closing = False
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="gesso-wire", daemon=True)

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message; raises TooLarge, and Unreachable if the daemon takes nothing for ``SEND_SECONDS``."""
        if not frames:
            raise ProtocolError("A message has at least one frame.")
        for frame in frames:
            if len(frame) > LIMITS["frame_bytes"]:
                raise TooLarge(f"A frame has {len(frame)} bytes; at most {LIMITS['frame_bytes']} are allowed.")
        with self._changed:
            room = self._changed.wait_for(lambda: self._error or self._closing or self._unsent < QUEUE_BYTES, SEND_SECONDS)
            if self._error is not None:
                raise self._error
            if self._closing:
                raise Unreachable("The connection is closed.")
            if not room:
                raise Unreachable(f"The daemon has taken nothing for {SEND_SECONDS:.0f} s.")
            self._outbox.append(list(frames))
            self._unsent += _size(frames)
        self._wake()

    def recv(self, timeout: Optional[float] = None) -> Optional[List[bytes]]:
        """The next message, or None after ``timeout`` seconds; raises what ended the connection, once all that came is taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._error, timeout)
            if not self._inbox:
                if self._error is not None:
                    raise self._error
                return None
            full = self._inbox_bytes >= QUEUE_BYTES
            message = self._inbox.popleft()
            self._inbox_bytes -= _size(message)
            freed = full and self._inbox_bytes < QUEUE_BYTES
        if freed:
            self._wake()
        return message

    def close(self, linger: float = 1.0) -> None:
        """End the connection after at most ``linger`` seconds for what is queued; `recv` then raises Unreachable."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._unsent, linger)
            self._closing = True
        self._wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)

    def _serve(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say how bytes travel.")

    def _release(self) -> None:
        """Close what the I/O thread owned."""
        self._awake.close()
        self._waker.close()

    def _run(self) -> None:
        try:
            self._serve()
        except OSError as fault:
            self._lose(Unreachable(f"The connection to the daemon broke: {fault.strerror or fault}."))
        finally:
            self._lose(Unreachable("The connection is closed."))
            self._release()

    @property
    def _over(self) -> bool:
        return self._closing or self._error is not None

    @property
    def _hungry(self) -> bool:
        return self._inbox_bytes < QUEUE_BYTES

    def _next(self) -> Optional[List[bytes]]:
        """The oldest message to send; `_sent` follows once its bytes are gone."""
        with self._changed:
            return self._outbox.popleft() if self._outbox else None

    def _sent(self, count: int) -> None:
        with self._changed:
            self._unsent -= count
            self._changed.notify_all()

    def _deliver(self, frames: Sequence[bytes]) -> None:
        with self._changed:
            self._inbox.append(list(frames))
            self._inbox_bytes += _size(frames)
            self._changed.notify_all()
        if self._on_readable is not None:
            self._on_readable()

    def _lose(self, fault: GessoError) -> None:
        with self._changed:
            if self._error is not None:
                return
            self._error = fault
            self._changed.notify_all()
        if self._on_readable is not None:
            self._on_readable()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody is left to wake
            self._waker.send(b"\0")

    def _slept(self) -> None:
        """Take the wake-up calls off the line."""
        with contextlib.suppress(BlockingIOError):
            self._awake.recv(4096)


def _size(frames: Sequence[bytes]) -> int:
    return sum(map(len, frames))


def unreachable(endpoint: str, fault: Exception) -> Unreachable:
    """The sentence for a daemon that does not answer."""
    reason = "it does not answer" if isinstance(fault, socket.timeout) else (getattr(fault, "strerror", None) or str(fault))
    return Unreachable(f"No daemon can be reached at {endpoint}: {reason}.", hint="Start one with: gesso serve --detach")
