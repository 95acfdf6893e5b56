"""What happens to a job, as typed values. They are read from messages leniently in what they say, strictly in whose they are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Type, Union

from ..errors import GessoError, ProtocolError
from ..wire.message import EVENTS, Message


@dataclass(frozen=True)
class _Event:
    """``seq`` grows from event to event of a job; gaps are events that were dropped because newer ones came."""

    job: str
    seq: int


@dataclass(frozen=True)
class Queued(_Event):
    """It waits; ``position`` in the queue counts from 1."""

    position: int = 0


@dataclass(frozen=True)
class Started(_Event):
    """A worker has it. ``attempt`` counts from 1 and grows when a worker died."""

    worker: str = ""
    attempt: int = 1


@dataclass(frozen=True)
class Progress(_Event):
    """``step`` of ``total`` of image ``image`` of ``images``; ``fraction`` 0..1 of the whole job; ``rate`` in steps a second."""

    image: int = 0
    images: int = 1
    step: int = 0
    total: Optional[int] = None
    fraction: float = 0.0
    sigma: Optional[float] = None
    rate: Optional[float] = None


@dataclass(frozen=True)
class Preview(_Event):
    """A small picture of what image ``image`` is becoming; ``data`` is a file of ``media_type``, or a raw plane."""

    image: int = 0
    width: int = 0
    height: int = 0
    media_type: str = ""
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Log(_Event):
    """A sentence for the user. ``level``: info, warning or error."""

    level: str = "info"
    message: str = ""


@dataclass(frozen=True)
class Done(_Event):
    """The end: it worked. ``result`` names the images; `Job.result` fetches them."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed(_Event):
    """The end: it did not work, and ``error`` says why."""

    error: GessoError = field(default_factory=lambda: GessoError("The job failed."))


@dataclass(frozen=True)
class Cancelled(_Event):
    """The end: it was cancelled."""


Event = Union[Queued, Started, Progress, Preview, Log, Done, Failed, Cancelled]
TERMINAL = (Done, Failed, Cancelled)

_KINDS: Mapping[str, Type[Any]] = {
    kind.__name__.lower(): kind for kind in (Queued, Started, Progress, Preview, Log, Done, Failed, Cancelled)
}
_TYPES: Mapping[str, Any] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "Optional[int]": (int, type(None)),
    "Optional[float]": (int, float, type(None)),
    "Mapping[str, Any]": (dict,),
}


def is_event(message: Message) -> bool:
    """Whether a message of the daemon is an event that this client knows; others come from later versions and are passed over."""
    return message.type in EVENTS


def parse_event(message: Message) -> Event:
    """Message -> event; a missing or null field takes its default. Raises ProtocolError for one of another type."""
    kind = _KINDS[message.type]
    values: Dict[str, Any] = {}
    for known in dataclasses.fields(kind):
        value = message.header.get(known.name)
        if known.name == "data":
            values["data"] = message.payload
        elif value is None and known.name not in ("job", "seq"):
            continue
        elif known.name == "error" and isinstance(value, dict):
            values["error"] = GessoError.from_wire(value)
        elif not isinstance(value, _TYPES.get(str(known.type), ())) or isinstance(value, bool):
            raise ProtocolError(f"The daemon sent a `{message.type}` whose `{known.name}` is {value!r:.60}.", field=known.name)
        else:
            values[known.name] = value
    event: Event = kind(**values)
    return event
