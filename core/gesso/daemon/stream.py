"""One job's ordered events: numbers that only grow, the last few events, the newest progress, the one end. It sends nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gesso.daemon.rows import JobRow
from gesso.daemon.states import TERMINAL

HELD = 64
STRIDE = 100_000
"""How far a stream's number jumps when the front restarts: further than any job sends events between two rows of the journal."""


@dataclass(frozen=True)
class Event:
    """One event as clients get it."""

    header: Mapping[str, Any]
    payload: bytes = b""

    @property
    def type(self) -> str:
        """The event's type."""
        return str(self.header["type"])

    @property
    def seq(self) -> int:
        """Its place in the job's stream."""
        return int(self.header["seq"])

    @property
    def terminal(self) -> bool:
        """Whether the stream ends here."""
        return self.type in TERMINAL


class Stream:
    """The events of one job. Previews are never held."""

    def __init__(self, job: str, seq: int) -> None:
        self.job = job
        self.seq = seq
        self.progress: Event | None = None
        self.terminal: Event | None = None
        self._ring: deque[Event] = deque(maxlen=HELD)

    @staticmethod
    def of_row(row: JobRow) -> Stream:
        """The stream as the journal remembers it: newest progress and end."""
        stream = Stream(row.id, row.seq if row.state in TERMINAL else row.seq + STRIDE)
        if row.progress is not None:
            stream.progress = Event(row.progress)
        if row.state in TERMINAL:
            body = {"done": {"result": row.result}, "failed": {"error": row.error}, "cancelled": {}}[row.state]
            stream.terminal = Event({"type": row.state, "job": row.id, "seq": row.seq, **body})
        return stream

    def add(self, kind: str, body: Mapping[str, Any], payload: bytes = b"") -> Event:
        """The next event of the stream."""
        self.seq += 1
        event = Event({**body, "type": kind, "job": self.job, "seq": self.seq}, payload)
        if kind == "progress":
            self.progress = event
        elif event.terminal:
            self.terminal = event
        elif kind != "preview":
            self._ring.append(event)
        return event

    def since(self, first: int) -> list[Event]:
        """Every event still held from number ``first`` on, in order."""
        held = [*self._ring, *([self.progress] if self.progress else []), *([self.terminal] if self.terminal else [])]
        return sorted((event for event in held if event.seq >= first), key=lambda event: event.seq)

    def snapshot(self) -> dict[str, Any]:
        """The newest progress and the end, or null."""
        return {
            "progress": dict(self.progress.header) if self.progress else None,
            "terminal": dict(self.terminal.header) if self.terminal else None,
        }
