"""Messages between a worker and the processes of an isolated plugin, encoded as those of the link are. ``value`` is what
`gesso.isolation.codec` makes of tensors, calls and replies; the bytes of tensors travel in ``blobs``.

To the plugin's server: Begin, answered by Born; Fork (with one end of a new pipe), answered by Forked; Exited tells of the end of each
process. On that pipe:

    worker                                   the process
      | -- Start(sampler | run ..., value) ---> |
      | <------------- Yielded(call) ---------- |   the generator asks for something
      | -- Resume(call, generator, value) ----> |
      | <------------- Returned(call) --------- |   or Raised
      | <------------- Asked(model ...) ------- |   at any time between a request and its answer: `ctx`
      | -- Answer(value) ---------------------> |
      | -- Work(function), Close(generator) --> |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gesso.link.messages import Message


@dataclass(frozen=True)
class Begin(Message):
    """Import the plugin. ``options``: its part of the owner's configuration."""

    type = "begin"
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Born(Message):
    """The plugin is imported, or could not be (``fault`` says why). ``version``: the Gesso in its environment."""

    type = "born"
    version: str
    fault: str


@dataclass(frozen=True)
class Fork(Message):
    """Make a process for one use; it serves the socket that comes along."""

    type = "fork"
    number: int


@dataclass(frozen=True)
class Forked(Message):
    """The process that serves it."""

    type = "forked"
    number: int
    pid: int


@dataclass(frozen=True)
class Exited(Message):
    """A process ended by itself or by a signal (negative)."""

    type = "exited"
    number: int
    status: int


@dataclass(frozen=True)
class Start(Message):
    """Begin: ``what`` is sampler, schedule, resolve or run; ``name`` is that of the thing."""

    type = "start"
    call: int
    what: str
    name: str
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Resume(Message):
    """Send ``value`` into a generator, or throw it where it is a fault."""

    type = "resume"
    call: int
    generator: int
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Close(Message):
    """Close a generator; its ``finally`` runs."""

    type = "close"
    call: int
    generator: int


@dataclass(frozen=True)
class Work(Message):
    """Run a host function on a thread; its value stays in the process under the same number."""

    type = "work"
    call: int
    function: int


@dataclass(frozen=True)
class Answer(Message):
    """To `Asked`."""

    type = "answer"
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Yielded(Message):
    """The generator asks for ``value``."""

    type = "yielded"
    call: int
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Returned(Message):
    """The generator, or whatever was called, is done."""

    type = "returned"
    call: int
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Raised(Message):
    """It failed; ``value`` is the fault."""

    type = "raised"
    call: int
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Asked(Message):
    """The plugin uses its context while it works on ``call``."""

    type = "asked"
    call: int
    method: str
    value: Mapping[str, Any]


ISOLATED: Mapping[str, type[Message]] = {
    kind.type: kind for kind in (Begin, Born, Fork, Forked, Exited, Start, Resume, Close, Work, Answer, Yielded, Returned, Raised, Asked)
}
