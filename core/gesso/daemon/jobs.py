"""A job that has no end yet, as the front holds it in memory. The journal's row is the truth; this is what moves between two rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gesso.daemon.rows import JobRow
from gesso.daemon.states import State
from gesso.daemon.stream import Stream


@dataclass(eq=False)
class LiveJob:
    """``turn`` counts how often the job was given out or taken back: whoever awaited something compares it before going on."""

    id: str
    principal: str
    client: str
    request: Mapping[str, Any]
    priority: str
    created: float
    stream: Stream
    blobs: tuple[str, ...]
    model: str | None
    state: State = "accepted"
    spec: Mapping[str, Any] | None = None
    attempt: int = 0
    suspect: int = 0
    cancel_wanted: bool = False
    paused: bool = False
    passed_over: int = 0
    turn: int = 0
    worker: str | None = None
    ending: bool = False
    waits_since: float = field(default_factory=time.monotonic)
    began: float = 0.0
    steps: dict[int, int] = field(default_factory=dict)

    @property
    def patient(self) -> bool:
        """Whether it works for long and gives way: of such jobs a worker has one at a time."""
        return bool(self.request.get("patient"))

    @property
    def owner(self) -> tuple[str, str]:
        """Whose turn it is when the job's turn comes."""
        return self.principal, self.client


def of_row(row: JobRow, stream: Stream, blobs: tuple[str, ...], model: str | None) -> LiveJob:
    """The job of a row without an end, waiting again whatever it was doing."""
    return LiveJob(
        id=row.id,
        principal=row.principal,
        client=row.client,
        request=row.request,
        priority=row.priority,
        created=row.created,
        stream=stream,
        blobs=blobs,
        model=model,
        spec=row.spec,
        attempt=row.attempt,
        suspect=row.suspect,
        cancel_wanted=row.cancel_wanted,
        paused=row.paused,
    )


def summary(row: JobRow) -> dict[str, Any]:
    """One line of `jobs`."""
    line: dict[str, Any] = {
        "job": row.id,
        "operation": row.request.get("operation"),
        "state": row.state,
        "priority": row.priority,
        "level": row.request.get("level"),
        "client": row.client,
        "created": row.created,
        "updated": row.updated,
        "attempt": row.attempt,
        "pinned": row.pinned,
        "paused": row.paused,
        "seq": row.seq,
    }
    if row.error is not None:
        line["error"] = row.error
    return line


def detail(row: JobRow, has: Callable[[str], bool]) -> dict[str, Any]:
    """The summary with what only one job's owner asks for; ``has`` tells whether a blob is still stored."""
    line = {**summary(row), "output": row.request.get("output"), "params": row.request["params"]}
    if row.result is not None:
        images = row.result.get("images") or []
        line["pictures"] = len(images)
        line["bytes"] = sum(int(image.get("size", 0)) for image in images)
        line["stored"] = all(has(str(image.get("sha256"))) for image in images)
    return line
