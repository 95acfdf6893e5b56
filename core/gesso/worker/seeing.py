"""Looks at what was made while nobody waits: the vectors of finished pictures, many jobs in one forward. It delays no result; what a busy
worker drops, `gesso search` embeds when it is asked.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gesso.engine import Ticket
from gesso.link.messages import Seen
from gesso.plugin import Registry
from gesso.worker.context import WorkerContext
from gesso.worker.models import WorkerCatalogue
from gesso.worker.results import Encoded

EMBED, CAPABILITY = "embed", "embed"
QUIET = 0.5
"""Seconds without a job after which the worker looks at what it has made."""
PICTURES, HELD = 64, 64 << 20
"""Pictures of one look, and the most bytes of files that wait for one."""


@dataclass(frozen=True)
class _Made:
    job: str
    contents: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return sum(map(len, self.contents))


class Seeing:
    """``send`` gets the vectors of each job, a row for each picture of its result; a picture that cannot be looked at has no number."""

    def __init__(self, catalogue: WorkerCatalogue, send: Callable[[Seen], None]) -> None:
        self._catalogue = catalogue
        self._send = send
        self._waiting: deque[_Made] = deque()
        self._since = time.monotonic()
        self._looks = 0

    def remember(self, job: str, operation: str, pictures: Sequence[Encoded]) -> None:
        """A job is done; the oldest that wait are dropped where there are too many."""
        self._since = time.monotonic()
        if operation != EMBED and len(pictures) <= PICTURES:
            self._waiting.append(_Made(job, tuple(picture.content for picture in pictures)))
        while sum(made.size for made in self._waiting) > HELD:
            self._waiting.popleft()

    def due(self, registry: Registry, mark: str) -> tuple[Ticket, Generator[Any, Any, None]] | None:
        """The look to take now that the worker has no job, if it is time for one. ``mark``: before the ids of jobs that are nobody's."""
        if not self._waiting or time.monotonic() - self._since < QUIET:
            return None
        if EMBED not in registry.operations or not any(CAPABILITY in entry.capabilities for entry in self._catalogue.entries):
            self._waiting.clear()
            return None
        batch = [self._waiting.popleft()]
        while self._waiting and sum(len(made.contents) for made in (*batch, self._waiting[0])) <= PICTURES:
            batch.append(self._waiting.popleft())
        self._looks += 1
        ticket = Ticket(job=f"{mark}see-{self._looks}", title="looking at what was made", level="fast")
        return ticket, self._look(WorkerContext(registry, self._catalogue, "fast", {}), batch)

    def _look(self, ctx: WorkerContext, batch: Sequence[_Made]) -> Generator[Any, Any, None]:
        named = [ctx.keep(content) for made in batch for content in made.contents]
        (found,) = yield from ctx.operation(EMBED, {"images": named})
        digest, start = ctx.models[found.model], 0
        for made in batch:
            rows = found.pixels[start : (start := start + len(made.contents)), :, 0].astype(np.float16)
            self._send(Seen(job=made.job, model=digest, blobs=(rows.tobytes(),)))
