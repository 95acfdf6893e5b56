"""Messages between front and worker as frozen dataclasses; `encode` and `decode` turn them into frames (JSON header + raw blobs).

Worker -> front: Ready, Heartbeat, Resolved, Event, Finished, Seen, Fetch, Bye. Front -> worker: Lease, Go, Cancel, Steer, Blob,
Reload, Prefer, Suspend, Unload, Shutdown.

    worker                        front
      | -- Ready(slots, ...) ------> |
      | <------------- Lease(job) -- |
      | -- Resolved(job, spec) ----> |   journaled
      | <---------------- Go(job) -- |
      | -- Event(...) * -----------> |
      | -- Finished(job, ...) -----> |   blobs stored, journaled
      | -- Seen(job, ...) ---------> |   journaled
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from gesso.errors import ProtocolError


@dataclass(frozen=True)
class Message:
    """Base of all link messages. ``blobs`` travel as trailing raw frames."""

    type: ClassVar[str] = ""
    blobs: tuple[bytes, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class Ready(Message):
    """A worker is there. ``slots``: jobs it wants leased at once. ``info``: device, threads, versions, models it could inspect."""

    type = "ready"
    worker: str
    pid: int
    slots: int
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Heartbeat(Message):
    """The link thread lives; ``stalled``: seconds since the engine's loop last turned; ``info`` as in `Ready`, when changed."""

    type = "heartbeat"
    stalled: float
    info: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Lease(Message):
    """Run this job. ``request``: operation, params, level, output. ``spec``: the frozen job, where it was resolved before."""

    type = "lease"
    job: str
    attempt: int
    request: Mapping[str, Any]
    spec: Mapping[str, Any] | None
    priority: str
    client: str


@dataclass(frozen=True)
class Resolved(Message):
    """The job is complete and frozen; the worker waits for `Go` before its first call."""

    type = "resolved"
    job: str
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Go(Message):
    """The frozen job is journaled."""

    type = "go"
    job: str


@dataclass(frozen=True)
class Cancel(Message):
    """Close the job's generator; idempotent, unknown jobs are ignored."""

    type = "cancel"
    job: str


@dataclass(frozen=True)
class Steer(Message):
    """How a job is to be treated from its next step on: whether it stands, and its priority. Idempotent, unknown jobs are ignored."""

    type = "steer"
    job: str
    paused: bool
    priority: str


@dataclass(frozen=True)
class Event(Message):
    """``body`` is the client-facing event without job and seq (type progress, preview or log); a preview's picture is in ``blobs``."""

    type = "event"
    job: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Finished(Message):
    """The one end of a lease. state: done, failed or cancelled. ``result`` names the blobs by order: images[i] belongs to blobs[i]."""

    type = "finished"
    job: str
    state: str
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Seen(Message):
    """What pictures of a finished job look like to the model of that digest: one blob of little-endian float16, a row for each image."""

    type = "seen"
    job: str
    model: str


@dataclass(frozen=True)
class Fetch(Message):
    """The worker needs an input blob."""

    type = "fetch"
    sha256: str


@dataclass(frozen=True)
class Blob(Message):
    """The bytes of an input, as the only blob; none if it is gone."""

    type = "blob"
    sha256: str


@dataclass(frozen=True)
class Reload(Message):
    """The owner's plugins have changed: import them again. Jobs that run go on with what they have."""

    type = "reload"


@dataclass(frozen=True)
class Prefer(Message):
    """From now on take this model where several can do a job; "" for the first that can."""

    type = "prefer"
    model: str


@dataclass(frozen=True)
class Suspend(Message):
    """``on``: let every job stand at its next border, drop all weights, and say ``suspended`` in `Heartbeat.info`; else go on."""

    type = "suspend"
    on: bool


@dataclass(frozen=True)
class Unload(Message):
    """Drop the weights of this model ("" for all) as soon as no call uses them; `Heartbeat.info` then says what is resident."""

    type = "unload"
    model: str


@dataclass(frozen=True)
class Shutdown(Message):
    """Close all jobs without a result and leave."""

    type = "shutdown"


@dataclass(frozen=True)
class Bye(Message):
    """The worker leaves of its own will; what it still held goes back to the queue."""

    type = "bye"


KINDS: Mapping[str, type[Message]] = {
    kind.type: kind
    for kind in (
        Ready,
        Heartbeat,
        Lease,
        Resolved,
        Go,
        Cancel,
        Steer,
        Event,
        Finished,
        Seen,
        Fetch,
        Blob,
        Reload,
        Prefer,
        Suspend,
        Unload,
        Shutdown,
        Bye,
    )
}


def encode(message: Message) -> list[bytes]:
    """Message -> frames."""
    header = {f.name: getattr(message, f.name) for f in fields(message) if f.name != "blobs"}
    header["type"] = message.type
    return [json.dumps(header, separators=(",", ":"), allow_nan=False).encode(), *message.blobs]


_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "Mapping[str, Any]": (dict,),
    "Mapping[str, Any] | None": (dict, type(None)),
}


def decode(frames: Sequence[bytes], kinds: Mapping[str, type[Message]] = KINDS) -> Message:
    """Frames -> message of one of ``kinds``, with fields of the declared types; raises ProtocolError."""
    try:
        header = json.loads(frames[0])
        kind = kinds[header.pop("type")]
        for f in fields(kind):
            if f.name in header and not isinstance(header[f.name], _TYPES.get(str(f.type), ())):
                raise ValueError(f"{f.name} of {kind.type} is not of the type {f.type}")
        return kind(**header, blobs=tuple(frames[1:]))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as fault:
        raise ProtocolError(f"The link carried a message that cannot be read: {fault}.") from fault
