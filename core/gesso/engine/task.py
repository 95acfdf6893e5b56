"""The tree of running generators of one job: what each waits for, and where it stands. It runs nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from gesso.engine.calls import Call, Job
from gesso.engine.replay import ReplayLog
from gesso.errors import GessoError

Path: TypeAlias = tuple[tuple[int, int], ...]
"""Where a generator hangs in its job: for each `All` on the way down, (which yield of the parent, which item)."""

Priority = Literal["interactive", "batch"]
Level = Literal["exact", "fast"]


@dataclass(frozen=True)
class Ticket:
    """What the engine must know of a job beside its generator. ``title`` names it in sentences; ``plugin`` is whom to blame."""

    job: str
    title: str = "the job"
    plugin: str = ""
    client: str = ""
    priority: Priority = "batch"
    level: Level = "exact"
    evaluations: int = 1_000_000


@dataclass(frozen=True)
class Ended:
    """The one end of a job. ``value``: what its generator returned. ``seconds``: time its calls took on the device."""

    state: Literal["done", "failed", "cancelled"]
    value: Any = None
    error: GessoError | None = None
    evaluations: int = 0
    seconds: float = 0.0


@dataclass(eq=False)
class Running:
    """A job in the engine. ``evaluations`` and ``seconds`` count what it has spent."""

    ticket: Ticket
    order: int
    priority: Priority
    log: ReplayLog | None = None
    root: Task | None = None
    evaluations: int = 0
    seconds: float = 0.0
    paused: bool = False
    ended: bool = False


@dataclass(eq=False)
class Task:
    """One generator of a job, or a lone call inside an `All` (``generator`` None). ``count``: the calls and `All`s it has yielded."""

    running: Running
    path: Path
    generator: Job | None
    parent: Task | None = None
    slot: int = 0
    count: int = 0
    replies: list[Any] = field(default_factory=list)
    missing: int = 0
    children: list[Task] = field(default_factory=list)
    closed: bool = False

    def descendants(self) -> Iterator[Task]:
        """Itself and all below that are open, the deepest first."""
        for child in reversed(self.children):
            if not child.closed:
                yield from child.descendants()
        yield self


@dataclass(frozen=True, eq=False)
class Pending:
    """A call that waits for its turn. ``key``: calls with equal keys may share a forward; ``rows``: how many rows it brings."""

    task: Task
    number: int
    call: Call
    key: tuple[object, ...]
    rows: int
    size: int

    @property
    def running(self) -> Running:
        """Its job."""
        return self.task.running
