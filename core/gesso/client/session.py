"""The client's side of `gesso/1` as a state machine: requests that wait for answers, and streams of events. No socket, no thread, no clock.

    request --send--> waiting --answer--> resolved          event --> stream --> readers
                        | silence: sent again (same id)      connection lost: stream waits, then `attach` from the last number + 1
                        | connection lost: sent again        given up: the stream fails, the job goes on
                        ` deadline: Unreachable

Calls must not overlap; `Link` sees to that.
"""

from __future__ import annotations

import secrets
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

from ..errors import GessoError, ProtocolError, Unreachable
from ..wire.message import EVENTS, REQUESTS, Message, check_answer, encode
from .events import Event, is_event, parse_event
from .stream import Stream

RESEND_SECONDS = 5.0
ANSWER_SECONDS = 30.0
AGAIN_SECONDS = 10.0
_NEVER = float("inf")
ONCE = ("blob.part", "stop")

Frames = List[bytes]


@dataclass
class Request:
    """One request under way. ``once``: it must not be sent twice, and ends with its connection. ``stream``: what its answer opened."""

    type: str
    header: Mapping[str, Any]
    frames: Frames
    deadline: float
    once: bool
    sent: float
    answer: "Future[Message]" = field(default_factory=Future)
    stream: Optional[Stream] = None


class Session:
    """Everything that outlives a connection."""

    def __init__(self) -> None:
        self.streams: Dict[str, Stream] = {}
        self._requests: Dict[str, Request] = {}

    @property
    def asking(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._requests)

    @property
    def needed(self) -> bool:
        """Whether anything waits for the daemon."""
        return bool(self._requests or self.streams)

    def request(self, kind: str, fields: Mapping[str, Any], payload: bytes, *, now: float, seconds: float = ANSWER_SECONDS) -> Request:
        """A new request, to be sent by the caller; raises ProtocolError or TooLarge for one that cannot be."""
        ident = secrets.token_hex(8)
        header = {"type": kind, "id": ident, **{name: value for name, value in fields.items() if value is not None}}
        request = Request(kind, header, encode(header, payload), now + seconds, kind in ONCE, now)
        request.answer.set_running_or_notify_cancel()
        self._requests[ident] = request
        return request

    def drop_stream(self, job: str) -> None:
        """Its events are wanted no more."""
        stream = self.streams.pop(job, None)
        if stream is not None:
            stream.fail(GessoError(f"Job {job} is no longer followed; it goes on.", hint="Client.attach follows it again."))

    def feed(self, message: Message) -> None:
        """Take in a message of the daemon; raises ProtocolError for one that breaks the protocol."""
        if is_event(message):
            event = parse_event(message)
            stream = self.streams.get(event.job)
            if stream is not None:
                stream.take(event)
                self._forget_ended(stream)
        elif "re" in message.header:
            self._answer(message)
        elif message.type == "error":
            raise GessoError.from_wire(message.header.get("error") or {})

    def opened(self, now: float) -> List[Frames]:
        """A new connection: what waits is sent again, and every stream is attached to."""
        for stream in self.streams.values():
            if not any(request.type == "attach" and request.header["job"] == stream.job for request in self._requests.values()):
                request = self.request("attach", {"job": stream.job, "from": stream.seen + 1}, b"", now=now, seconds=_NEVER)
                request.stream = stream
        for request in self._requests.values():
            request.sent = now
            request.deadline = max(request.deadline, now + AGAIN_SECONDS)
        return [request.frames for request in self._requests.values()]

    def lost(self) -> None:
        """The connection is gone: what may not be sent twice ends here; our own attachments are made anew, from a later number."""
        for ident, request in list(self._requests.items()):
            if request.deadline == _NEVER:
                del self._requests[ident]
            elif request.once:
                del self._requests[ident]
                request.answer.set_exception(Unreachable(f"The connection to the daemon was lost before it answered `{request.type}`."))

    def due(self, now: float) -> List[Frames]:
        """What to send again after a silence; requests past their deadline fail."""
        again = []
        for ident, request in list(self._requests.items()):
            if now >= request.deadline:
                del self._requests[ident]
                request.answer.set_exception(Unreachable(f"The daemon did not answer `{request.type}` in time."))
            elif not request.once and now - request.sent >= RESEND_SECONDS:
                request.sent = now
                again.append(request.frames)
        return again

    def give_up(self, error: GessoError) -> None:
        """Nobody answers any more: all that waits fails with ``error``. The jobs themselves go on."""
        requests, self._requests = self._requests, {}
        streams, self.streams = self.streams, {}
        for request in requests.values():
            request.answer.set_exception(error)
        for stream in streams.values():
            stream.fail(error)

    def _answer(self, message: Message) -> None:
        request = self._requests.pop(str(message.header["re"]), None)
        if request is None:
            return
        try:
            check_answer(message.header)
            if message.type not in ("error", REQUESTS[request.type].answer):
                raise ProtocolError(f"The daemon answered `{request.type}` with `{message.type}`.")
            if message.type == "accepted" and request.header.get("watch") is not False:
                request.stream = self._stream(message.header["job"], 0)
            elif message.type == "attached":
                self._attached(request, message)
        except ProtocolError as fault:
            request.answer.set_exception(fault)
            raise
        if message.type == "error":
            self._refused(request, GessoError.from_wire(message.header["error"]))
        else:
            request.answer.set_result(message)

    def _stream(self, job: str, seen: int) -> Stream:
        if job not in self.streams:
            self.streams[job] = Stream(job, seen)
        return self.streams[job]

    def _attached(self, request: Request, message: Message) -> None:
        if request.stream is not None and request.stream is not self.streams.get(request.stream.job):
            return
        progress, terminal = (_held(message.header["snapshot"], name) for name in ("progress", "terminal"))
        stream = request.stream = self._stream(message.header["job"], max(0, request.header.get("from", 0) - 1))
        stream.resume(int(message.header["seq"]), progress, terminal)
        self._forget_ended(stream)

    def _refused(self, request: Request, error: GessoError) -> None:
        stream = self.streams.get(str(request.header.get("job"))) if request.type == "attach" else None
        if stream is not None:
            del self.streams[stream.job]
            stream.fail(error)
        request.answer.set_exception(error)

    def _forget_ended(self, stream: Stream) -> None:
        if stream.ended.done():
            self.streams.pop(stream.job, None)


def _held(snapshot: Mapping[str, Any], name: str) -> Optional[Event]:
    header = snapshot.get(name)
    if not isinstance(header, dict):
        return None
    if header.get("type") not in EVENTS:
        raise ProtocolError(f"The daemon's snapshot holds no event as its `{name}`.", field="snapshot")
    return parse_event(Message(header))
