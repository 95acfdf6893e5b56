"""A ZeroMQ socket on an asyncio loop: messages in by callback, messages out without ever blocking. It knows nothing of
what the frames mean.

libzmq's file descriptor is edge-triggered: after every send and receive the socket has to be asked again, or a message
waits for the next edge (zmq_getsockopt(3), ZMQ_FD). All sends and receives go through this class for that reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import zmq

from gesso.errors import Unreachable

Deliver = Callable[[list["zmq.Frame"]], None]
_log = logging.getLogger(__name__)
_BATCH = 64  # messages taken before other callbacks of the loop get their turn
_FRAMES = 1 << 16  # of one message
_SLICE = 2048  # frames thrown away before other callbacks of the loop get their turn


class PeerGone(Unreachable):
    """The peer of a ROUTER is not connected any more."""

    code = Unreachable.code


class LoopSocket:
    """Owns ``socket`` on the running loop; ``deliver`` gets each message as frames that carry the peer's metadata.

    libzmq does not bound the frames of a message, and hands one over only once its last frame is there: nothing can be refused as it
    comes. Beyond ``most_frames`` frames are thrown away as they are taken, a slice each turn of the loop, and the message is delivered
    without them.
    """

    def __init__(self, socket: zmq.Socket[bytes], deliver: Deliver, most_frames: int = _FRAMES) -> None:
        self._socket = socket
        self._most_frames = most_frames
        self._cut: list[zmq.Frame] | None = None
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._scheduled = False
        self._open = True
        self._loop.add_reader(self._descriptor, self._drain)
        self._schedule()

    def send(self, frames: Sequence[bytes | zmq.Frame]) -> bool:
        """Hand a message to libzmq; False when the peer's queue is full. Raises PeerGone when a ROUTER does not know the peer."""
        try:
            self._socket.send_multipart(list(frames), flags=zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as fault:
            if fault.errno == zmq.EHOSTUNREACH:
                raise PeerGone("The peer is not connected any more.") from fault
            raise
        finally:
            self._schedule()
        return True

    def close(self, linger_ms: int) -> None:
        """Stop listening; messages already handed over get ``linger_ms`` to leave."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            self._socket.close(linger=linger_ms)

    def _schedule(self) -> None:
        if not self._scheduled and self._open:
            self._scheduled = True
            self._loop.call_soon(self._drain_again)

    def _drain_again(self) -> None:
        self._scheduled = False
        self._drain()

    def _drain(self) -> None:
        for _ in range(_BATCH):
            if not self._open or not int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                return
            try:
                frames = self._take()
            except zmq.Again:
                return
            if frames is None:
                break
            try:
                self._deliver(frames)
            except Exception:  # a fault in one message must not leave the next ones waiting for an edge that never comes
                _log.exception("a message met a fault of the front")
        self._schedule()

    def _take(self) -> list[zmq.Frame] | None:
        """The next message; None where there is more of it than one turn may take."""
        if self._cut is None:
            frames = [self._socket.recv(zmq.DONTWAIT, copy=False)]
            while frames[-1].more:
                if len(frames) == self._most_frames:
                    self._cut = frames
                    break
                frames.append(self._socket.recv(zmq.DONTWAIT, copy=False))
            else:
                return frames
        for _ in range(_SLICE):
            if not self._socket.recv(zmq.DONTWAIT, copy=False).more:  # cheaper than a copy and a look at the socket's option
                frames, self._cut = self._cut, None
                return frames
        return None


def user_id(frames: Sequence[zmq.Frame]) -> str:
    """Who sent this message, as the ZAP handler named them; empty if it named nobody."""
    try:
        return str(frames[-1].get("User-Id"))
    except zmq.ZMQError:
        return ""
