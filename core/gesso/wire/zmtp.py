"""ZMTP 3.1 for a DEALER that dials out, as a state machine: bytes in, events and bytes out. It owns no socket and no clock.

    GREETING --(64 bytes)--> HANDSHAKE --(READY)--> TRAFFIC      any fault: FAILED, and `Failed` is the last event

    handshake with NULL    READY ->                      <- READY
    handshake with PLAIN   HELLO -> <- WELCOME INITIATE -> <- READY

rfc.zeromq.org/spec/37 (ZMTP 3.1), /23 (NULL), /24 (PLAIN). CURVE is left to libzmq, see `zmq_dealer`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple, Union

from ..errors import GessoError, ProtocolError, TooLarge, Unauthorised, Unreachable
from .message import LIMITS

MORE, LONG, COMMAND = 1, 2, 4
GREETING_LENGTH = 64
MAX_FRAMES = 64
MAX_MESSAGE_BYTES = 2 * LIMITS["frame_bytes"]
CONTEXT_LENGTH = 16

GREETING, HANDSHAKE, TRAFFIC, FAILED = "greeting", "handshake", "traffic", "failed"
LIBZMQ_ERROR = b"^RROR"  # what libzmq's PLAIN server sends: it writes "\x5ERROR" in C, where \x5E is one character
PEERS_OF_A_DEALER = (b"ROUTER", b"DEALER", b"REP")


@dataclass(frozen=True)
class Null:
    """No credentials: the transport itself keeps strangers out."""


@dataclass(frozen=True)
class Plain:
    """A user name and a password, each at most 255 bytes of UTF-8."""

    user: str
    password: str


@dataclass(frozen=True)
class Ready:
    """The handshake is through; ``properties`` are the peer's, names in lower case."""

    properties: Dict[str, bytes]


@dataclass(frozen=True)
class Received:
    """One whole message."""

    frames: Tuple[bytes, ...]


@dataclass(frozen=True)
class Pinged:
    """The peer asked for a sign of life, and a PONG is on its way; it may be taken for dead after ``ttl`` seconds of silence, 0: never."""

    ttl: float


@dataclass(frozen=True)
class Ponged:
    """The peer answered a PING."""

    context: bytes


@dataclass(frozen=True)
class Failed:
    """The connection is of no more use."""

    error: GessoError


Event = Union[Ready, Received, Pinged, Ponged, Failed]
Bytes = Union[bytes, memoryview]


class Connection:
    """One connection, from its first byte. Feed it what the socket gave; send what `take` gives."""

    def __init__(self, mechanism: Union[Null, Plain], max_frame: int = LIMITS["frame_bytes"]) -> None:
        self.state = GREETING
        self._mechanism = mechanism
        self._name = b"PLAIN" if isinstance(mechanism, Plain) else b"NULL"
        self._welcomed = False
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._parts: List[bytes] = []
        self._part_bytes = 0
        greeting = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x01" + self._name.ljust(20, b"\0")
        self._outgoing: List[Bytes] = [greeting.ljust(GREETING_LENGTH, b"\0")]

    def take(self) -> List[Bytes]:
        """What is to be sent now, in order; it is forgotten here."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message; raises TooLarge for a frame over the limit, ProtocolError before the handshake is through."""
        if self.state != TRAFFIC:
            raise ProtocolError("The connection is not ready to carry messages.")
        if not frames:
            raise ProtocolError("A message has at least one frame.")
        for frame in frames:
            if len(frame) > self._max_frame:
                raise TooLarge(f"A frame has {len(frame)} bytes; at most {self._max_frame} are allowed.")
        for frame in frames[:-1]:
            self._put(MORE, frame)
        self._put(0, frames[-1])

    def ping(self, ttl: float, context: bytes = b"") -> None:
        """Queue a PING. ``ttl``: seconds of our silence after which the peer may take us for dead; ``context`` comes back in the PONG."""
        self._command(b"PING", struct.pack(">H", int(ttl * 10)) + context[:CONTEXT_LENGTH])

    def feed(self, data: bytes) -> List[Event]:
        """Take in bytes, cut anywhere; gives what happened, in order. After `Failed` nothing happens any more."""
        events: List[Event] = []
        if self.state == FAILED:
            return events
        self._buffer += data
        try:
            while self._step(events):
                pass
        except GessoError as fault:
            self._fail(fault, events)
        return events

    def end(self) -> List[Event]:
        """The peer closed the stream."""
        events: List[Event] = []
        if self.state == FAILED:
            return events
        if self.state == GREETING:
            self._fail(Unreachable("The other side closed the connection before it said a word."), events)
        elif self.state == HANDSHAKE:
            self._fail(Unauthorised("The daemon refused the connection: it closed it in the handshake."), events)
        elif self._buffer or self._parts:
            self._fail(Unreachable("The other side closed the connection in the middle of a message."), events)
        else:
            self._fail(Unreachable("The other side closed the connection."), events)
        return events

    def _fail(self, fault: GessoError, events: List[Event]) -> None:
        self.state = FAILED
        self._buffer.clear()
        self._parts.clear()
        events.append(Failed(fault))

    def _step(self, events: List[Event]) -> bool:
        """Handle one greeting or frame; False where more bytes are needed."""
        if self.state == GREETING:
            return self._greeting()
        frame = self._frame()
        if frame is None:
            return False
        flags, body = frame
        if not flags & COMMAND:
            self._message(flags, body, events)
        else:
            if self.state == HANDSHAKE and body.startswith(LIBZMQ_ERROR):
                body = b"\x05ERROR" + body[len(LIBZMQ_ERROR) :]
            name, data = self._split(body)
            if self.state == HANDSHAKE:
                self._shake(name, data, events)
            else:
                self._handle(name, data, events)
        return True

    def _greeting(self) -> bool:
        """Judge as early as possible: an older or foreign peer may never send 64 bytes."""
        found = self._buffer
        if (found and found[0] != 0xFF) or (len(found) > 9 and not found[9] & 1):
            raise ProtocolError("What answers there does not speak ZMTP 3; it is no Gesso daemon.")
        if len(found) > 10 and found[10] < 3:
            raise ProtocolError("What answers there speaks an older ZMTP than 3; it is no Gesso daemon.")
        if len(found) < GREETING_LENGTH:
            return False
        mechanism = bytes(found[12:32]).rstrip(b"\0")
        if mechanism != self._name:
            raise Unauthorised(f"The other side asks for the mechanism {mechanism!r}, not {self._name!r}.")
        del self._buffer[:GREETING_LENGTH]
        self.state = HANDSHAKE
        if isinstance(self._mechanism, Plain):
            self._command(b"HELLO", _short(self._mechanism.user) + _short(self._mechanism.password))
        else:
            self._command(b"READY", _METADATA)
        return True

    def _frame(self) -> Optional[Tuple[int, bytes]]:
        found = self._buffer
        if not found:
            return None
        flags = found[0]
        if flags & ~(MORE | LONG | COMMAND) or (flags & COMMAND and flags & MORE):
            raise ProtocolError(f"A frame has the flags {flags:#04x}, which mean nothing in ZMTP 3.")
        if self.state == HANDSHAKE and not flags & COMMAND:
            raise ProtocolError("The other side sent a message before the handshake was through.")
        start = 9 if flags & LONG else 2
        if len(found) < start:
            return None
        size = int.from_bytes(found[1:start], "big")
        if size > self._max_frame:
            raise TooLarge(f"A frame announces {size} bytes; at most {self._max_frame} are allowed.")
        if len(found) < start + size:
            return None
        with memoryview(found) as view:
            body = bytes(view[start : start + size])
        del found[: start + size]
        return flags, body

    def _message(self, flags: int, body: bytes, events: List[Event]) -> None:
        self._parts.append(body)
        self._part_bytes += len(body)
        if len(self._parts) > MAX_FRAMES or self._part_bytes > MAX_MESSAGE_BYTES:
            raise TooLarge(f"A message has more than {MAX_FRAMES} frames or {MAX_MESSAGE_BYTES} bytes.")
        if not flags & MORE:
            events.append(Received(tuple(self._parts)))
            self._parts, self._part_bytes = [], 0

    @staticmethod
    def _split(body: bytes) -> Tuple[bytes, bytes]:
        end = 1 + body[0] if body else 0
        if end < 2 or end > len(body):
            raise ProtocolError("A command has no readable name.")
        return body[1:end], body[end:]

    def _shake(self, name: bytes, data: bytes, events: List[Event]) -> None:
        if name == b"ERROR":
            reason = data[1 : 1 + data[0]].decode("ascii", "replace") if data else ""
            raise Unauthorised(f"The daemon refused the connection{': ' + reason if reason else ''}.")
        if name == b"WELCOME" and isinstance(self._mechanism, Plain) and not self._welcomed:
            self._welcomed = True
            self._command(b"INITIATE", _METADATA)
        elif name == b"READY" and (self._welcomed or not isinstance(self._mechanism, Plain)):
            properties = _parse_metadata(data)
            if properties.get("socket-type") not in PEERS_OF_A_DEALER:
                raise ProtocolError("The other side is no ROUTER; it is no Gesso daemon.")
            self.state = TRAFFIC
            events.append(Ready(properties))
        else:
            raise ProtocolError(f"The command {name[:32]!r} has no place in this handshake.")

    def _handle(self, name: bytes, data: bytes, events: List[Event]) -> None:
        """Commands between messages; those that a DEALER has no use for, such as SUBSCRIBE, are passed over, as the RFC asks."""
        if name == b"PING":
            if not 2 <= len(data) <= 2 + CONTEXT_LENGTH:
                raise ProtocolError("A PING has 2 to 18 bytes.")
            self._command(b"PONG", data[2:])
            events.append(Pinged(int.from_bytes(data[:2], "big") / 10))
        elif name == b"PONG":
            events.append(Ponged(data))
        elif name == b"ERROR":
            raise Unreachable("The daemon ended the connection with an error.")

    def _command(self, name: bytes, data: bytes) -> None:
        self._put(COMMAND, bytes([len(name)]) + name + data)

    def _put(self, flags: int, body: bytes) -> None:
        if len(body) < 256:
            self._outgoing.append(bytes([flags, len(body)]) + bytes(body))
        else:
            self._outgoing.append(struct.pack(">BQ", flags | LONG, len(body)))
            self._outgoing.append(body)


def _short(text: str) -> bytes:
    raw = text.encode("utf-8")
    if len(raw) > 255:
        raise ProtocolError("A PLAIN user name or password has at most 255 bytes.")
    return bytes([len(raw)]) + raw


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


_METADATA = _property(b"Socket-Type", b"DEALER") + _property(b"Identity", b"")


def _parse_metadata(data: bytes) -> Dict[str, bytes]:
    properties: Dict[str, bytes] = {}
    at = 0
    while at < len(data):
        value_at = at + 1 + data[at] + 4
        end = value_at + int.from_bytes(data[value_at - 4 : value_at], "big")
        if data[at] == 0 or value_at > len(data) or end > len(data):
            raise ProtocolError("The other side's READY cannot be read.")
        properties[data[at + 1 : value_at - 4].decode("ascii", "replace").lower()] = data[value_at:end]
        at = end
    return properties
