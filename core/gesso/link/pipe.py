"""Messages between two processes of one machine over a pair of connected sockets, one of which is inherited. There is no address to dial,
so there is nobody to authenticate.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Mapping

from gesso.errors import ProtocolError, Unreachable
from gesso.link.messages import Message, decode, encode

_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_MOST_FRAMES = 4096
_LARGEST = 1 << 32


class PipeClosed(Unreachable):
    """The process at the other end is gone, or has hung up."""

    code = Unreachable.code


class Pipe:
    """One end. Any thread may send; one thread at a time receives. ``kinds``: the messages that may arrive."""

    def __init__(self, end: socket.socket, kinds: Mapping[str, type[Message]]) -> None:
        self._socket = end
        self._kinds = kinds
        self._sending = threading.Lock()
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: Message, *, file: socket.socket | None = None) -> None:
        """Hand a message over, and with it perhaps an open socket; PipeClosed where nobody is there."""
        frames = encode(message)
        content = b"".join((_COUNT.pack(len(frames)), *(_LENGTH.pack(len(frame)) for frame in frames), *frames))
        with self._sending:
            try:
                if file is not None:
                    socket.send_fds(self._socket, [content[:1]], [file.fileno()])
                    content = content[1:]
                self._socket.sendall(content)
            except OSError as fault:
                raise PipeClosed("The process at the other end is gone.") from fault

    def receive(self, timeout: float | None = None) -> Message:
        """The next message. TimeoutError after ``timeout`` seconds; the pipe is of no use then. PipeClosed at its end."""
        return self._message(b"", None if timeout is None else time.monotonic() + timeout)

    def ready(self, timeout: float) -> bool:
        """Whether a message begins to arrive (or the end is noticed) within ``timeout`` seconds."""
        try:
            return bool(self._poll.poll(max(0.0, timeout) * 1000))
        except (OSError, ValueError):  # closed meanwhile, which receiving will say
            return True

    def receive_with_file(self) -> tuple[Message, socket.socket | None]:
        """The next message and the socket that came with it."""
        try:
            first, files, _, _ = socket.recv_fds(self._socket, 1, 1)
        except OSError as fault:
            raise PipeClosed("The process at the other end is gone.") from fault
        if not first:
            raise PipeClosed("The process at the other end is gone.")
        return self._message(first, None), socket.socket(fileno=files[0]) if files else None

    def fileno(self) -> int:
        """For polling."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _message(self, first: bytes, deadline: float | None) -> Message:
        (count,) = _COUNT.unpack(first + self._exactly(_COUNT.size - len(first), deadline))
        if count > _MOST_FRAMES:
            raise ProtocolError(f"The pipe carried a message of {count} frames.")
        sizes = [size for (size,) in _LENGTH.iter_unpack(self._exactly(_LENGTH.size * count, deadline))]
        if sum(sizes) > _LARGEST:
            raise ProtocolError(f"The pipe carried a message of {sum(sizes)} bytes.")
        return decode([bytes(self._exactly(size, deadline)) for size in sizes], self._kinds)

    def _exactly(self, size: int, deadline: float | None) -> bytearray:
        content = bytearray(size)
        view, had = memoryview(content), 0
        while had < size:
            if deadline is not None and not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            try:
                got = self._socket.recv_into(view[had:])
            except OSError as fault:
                raise PipeClosed("The process at the other end is gone.") from fault
            if got == 0:
                raise PipeClosed("The process at the other end is gone.")
            had += got
        return content


def pair(kinds: Mapping[str, type[Message]]) -> tuple[Pipe, socket.socket]:
    """Our end of a new pipe, and the socket to be handed to the other process."""
    ours, theirs = socket.socketpair()
    return Pipe(ours, kinds), theirs
