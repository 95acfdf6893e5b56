"""What is kept of jobs that have ended, and for how long: by age, by wish (pins), by being named. The cap in bytes is the store's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from gesso.daemon import rows
from gesso.daemon.blobs import BlobStore
from gesso.daemon.journal import Journal
from gesso.errors import StorageFull

_log = logging.getLogger(__name__)
_EVERY = 600.0
_BATCH = 200
UNNAMED = 86400.0
"""Seconds for which a blob that no job names is kept: time to submit what was uploaded for."""


class Retention:
    """``keep``: seconds after its end for which a job is kept, 0 for ever. Runs on the loop."""

    def __init__(self, journal: Journal, store: BlobStore) -> None:
        self.keep = 0.0
        self._journal = journal
        self._store = store
        self._due = asyncio.Event()

    async def load(self) -> None:
        """Pin again what is pinned; before anything is evicted."""
        for job, sha256 in await self._journal.submit(rows.pins):
            self._store.pin(_owner(job), [sha256])

    def set_keep(self, seconds: float) -> None:
        """The owner's wish; it holds from now on, for what has ended already too."""
        self.keep = seconds
        self._due.set()

    async def pin(self, job: str, on: bool) -> None:
        """Keep a job with all that it names, or no longer."""
        hashes = await self._journal.submit(rows.pin, job, on)
        if on:
            self._store.pin(_owner(job), hashes)
        else:
            self._store.unpin(_owner(job), hashes)

    def ended(self, job: str, hashes: list[str]) -> None:
        """A pinned job has got these results."""
        self._store.pin(_owner(job), hashes)

    async def forget(self, job: str) -> None:
        """Remove a job that has ended, and what only it named."""
        await self.pin(job, False)
        await self._store.drop_unpinned(await self._journal.submit(rows.forget, [job]))

    async def run(self) -> None:
        """Sweep for ever: at the start, now and then, and when the wish has changed."""
        while True:
            self._due.clear()
            try:
                await self._sweep()
            except StorageFull as fault:
                _log.warning("old jobs could not be forgotten yet", extra={"fault": fault.message})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), _EVERY)

    async def _sweep(self) -> None:
        jobs = blobs = 0
        while self.keep > 0 and (old := await self._journal.submit(rows.expired_jobs, time.time() - self.keep, _BATCH)):
            blobs += await self._store.drop_unpinned(await self._journal.submit(rows.forget, old))
            jobs += len(old)
        unnamed = await self._journal.submit(rows.unheld_blobs, time.time() - UNNAMED, 100 * _BATCH)
        blobs += await self._store.drop_unpinned(unnamed)
        if jobs or blobs:
            _log.info("what was old was forgotten", extra={"jobs": jobs, "blobs": blobs})


def _owner(job: str) -> str:
    return f"pin:{job}"
