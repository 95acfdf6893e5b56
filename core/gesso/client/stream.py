"""The events of one job on their way to whoever reads them. What a slow reader has not taken yet stays bounded: the newest wins."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import Callable, Deque, List, Optional

from ..errors import GessoError
from .events import TERMINAL, Event, Preview, Progress

LONGEST = 1000


class Reader:
    """One reader's events, in order. ``listener`` is called after every change, from whatever thread brought it."""

    def __init__(self) -> None:
        self.listener: Callable[[], None] = _nobody
        self._lock = threading.Lock()
        self._waiting: Deque[Event] = deque()

    def put(self, event: Event) -> None:
        """Add an event. A progress or preview pushes out an older one of the same image; of the others, the oldest go first."""
        with self._lock:
            if isinstance(event, (Progress, Preview)):
                older = [held for held in self._waiting if type(held) is type(event) and held.image == event.image]
                for held in older:
                    self._waiting.remove(held)
            if len(self._waiting) >= LONGEST:
                self._waiting.popleft()
            self._waiting.append(event)
        self.listener()

    def take(self) -> Optional[Event]:
        """The oldest event, or None."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None


class Stream:
    """A job's stream: ``seen`` is the newest number, ``ended`` gets the terminal event, or why none can be had."""

    def __init__(self, job: str, seen: int = 0) -> None:
        self.job = job
        self.seen = seen
        self.ended: "Future[Event]" = Future()
        self.ended.set_running_or_notify_cancel()
        self._progress: Optional[Event] = None
        self._unclaimed: Optional[Reader] = Reader()
        self._readers: List[Reader] = [self._unclaimed]

    def reader(self) -> Reader:
        """A reader: the first has every event from the beginning, later ones begin with the newest progress and the end."""
        if self._unclaimed is not None:
            reader, self._unclaimed = self._unclaimed, None
            return reader
        reader = Reader()
        if self._progress is not None:
            reader.put(self._progress)
        if self.ended.done() and self.ended.exception() is None:
            reader.put(self.ended.result())
        self._readers.append(reader)
        return reader

    def take(self, event: Event) -> None:
        """The next event. One that came already, after a new attachment, is passed over."""
        if self.ended.done() or (event.seq <= self.seen and not isinstance(event, TERMINAL)):
            return
        self.seen = max(self.seen, event.seq)
        if isinstance(event, Progress):
            self._progress = event
        ends = isinstance(event, TERMINAL)
        for reader in self._readers:
            reader.put(event)
        if ends:
            self.ended.set_result(event)
            self._tell()

    def resume(self, seq: int, progress: Optional[Event], terminal: Optional[Event]) -> None:
        """Attached: ``seq`` is where the daemon's stream stands. What follows as events is not taken from the snapshot."""
        self.seen = min(self.seen, seq)
        if progress is not None and self._progress is None:
            self._progress = progress
        if terminal is not None and terminal.seq <= self.seen:
            self.take(terminal)

    def fail(self, error: GessoError) -> None:
        """No more events will come."""
        if not self.ended.done():
            self.ended.set_exception(error)
            self._tell()

    def _tell(self) -> None:
        for reader in self._readers:
            reader.listener()


def _nobody() -> None:
    """Nobody listens yet."""
