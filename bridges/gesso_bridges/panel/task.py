"""A job as a panel shows it: what was asked, how far it is, the newest preview, the end. A value with no life of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

from gesso.client import Cancelled, Done, Event, Failed, Log, Preview, Progress, Queued, Result, Started
from gesso.errors import GessoError

OPEN = ("sending", "queued", "running", "waiting", "fetching")
ENDED = ("done", "failed", "cancelled")
_WORDS: Mapping[str, str] = {"sending": "on its way", "waiting": "kept until Gesso is back", "fetching": "bringing the pictures"}


@dataclass(frozen=True)
class Fetched:
    """The pictures are here. It follows `Done`, and is the last that happens to a task. ``digest``: what the host's own function made of
    them.
    """

    result: Result
    digest: Any = None


@dataclass(frozen=True)
class Accepted:
    """The daemon has the job on its disk, with complete parameters."""

    job: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Waiting:
    """The daemon is away; the job is kept, and is followed again when it is back."""


@dataclass(frozen=True)
class Refused:
    """There is no job, or its result cannot be had."""

    error: GessoError


Happening = Any
"""An `Event` of the client, or one of the classes above."""


@dataclass
class Task:
    """``state`` is one of `OPEN` and `ENDED`. ``memo`` is the host's own: where the result belongs."""

    number: int
    operation: str
    params: Mapping[str, Any]
    memo: Dict[str, Any] = field(default_factory=dict)
    job: Optional[str] = None
    state: str = "sending"
    position: int = 0
    fraction: float = 0.0
    step: int = 0
    total: Optional[int] = None
    rate: Optional[float] = None
    preview: Optional[Preview] = None
    result: Optional[Result] = None
    digest: Any = None
    error: Optional[GessoError] = None
    notices: Tuple[str, ...] = ()
    cancelling: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def words(self) -> str:
        """How far it is, in a few words."""
        if self.cancelling and not self.ended:
            return "cancelling"
        if self.state == "running":
            steps = f"step {self.step} of {self.total}" if self.total else f"step {self.step}" if self.step else "running"
            return f"{steps}, {self.fraction:.0%}"
        if self.state == "queued":
            return f"waits, number {self.position}" if self.position else "waits"
        if self.state == "failed" and self.error is not None:
            return self.error.message
        return _WORDS.get(self.state, self.state)

    def take(self, happening: Happening) -> None:
        """One more thing that happened."""
        if self.ended:
            return
        if isinstance(happening, Accepted):
            self.job, self.state = happening.job, "queued"
            self.params = happening.params or self.params
        elif isinstance(happening, Waiting):
            self.state = "waiting"
        elif isinstance(happening, Fetched):
            self.result, self.digest, self.state, self.fraction = happening.result, happening.digest, "done", 1.0
            self.notices += tuple(text for text in happening.result.warnings if text not in self.notices)
        elif isinstance(happening, Refused):
            self.error, self.state = happening.error, "failed"
        else:
            self._event(happening)

    def _event(self, event: Event) -> None:
        if isinstance(event, Queued):
            self.state, self.position = "queued", event.position
        elif isinstance(event, Started):
            self.state = "running"
        elif isinstance(event, Progress):
            self.state = "running"
            self.fraction, self.step, self.total, self.rate = event.fraction, event.step, event.total, event.rate
        elif isinstance(event, Preview):
            self.preview = event
        elif isinstance(event, Log):
            if event.level != "info":
                self.notices += (event.message,)
        elif isinstance(event, Done):
            self.state, self.fraction = "fetching", 1.0
        elif isinstance(event, Failed):
            self.error, self.state = event.error, "failed"
        elif isinstance(event, Cancelled):
            self.state = "cancelled"
