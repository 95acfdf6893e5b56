"""How jobs end, durably: results to disk, then the journal, then the event, in that order, whatever the disk does
meanwhile. It leases nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gesso.daemon import rows, steps
from gesso.daemon.blobs import BlobStore
from gesso.daemon.jobs import LiveJob
from gesso.daemon.journal import Journal
from gesso.daemon.metrics import Metrics
from gesso.daemon.rows import BlobRow, Ending
from gesso.daemon.states import State
from gesso.daemon.stream import Event
from gesso.errors import GessoError, StorageFull
from gesso.link.messages import Seen
from gesso.wire.message import LIMITS, encode

_log = logging.getLogger(__name__)
_RETRY = 1.0
_HEADER_ROOM = 32 << 10
"""Bytes of a header that stay free beside a result, for the newest progress in a snapshot."""


class Endings:
    """``ended`` is called once for every job that has got its end, before its event goes out by ``publish``; ``pinned`` with the results
    of one that is to be kept.
    """

    def __init__(self, journal: Journal, store: BlobStore, metrics: Metrics, publish: Callable[[Event], None]) -> None:
        self._journal = journal
        self._store = store
        self._metrics = metrics
        self._publish = publish
        self.ended: Callable[[LiveJob], None] = lambda _: None
        self.pinned: Callable[[str, list[str]], None] = lambda *_: None

    async def finish(self, job: LiveJob, result: Mapping[str, Any], blobs: Sequence[bytes]) -> None:
        """The worker is done: store its images, then end the job; it fails if they cannot be stored."""
        try:
            stored = await self._store.store_results(job.id, blobs)
        except GessoError as fault:
            await self.fail(job, fault)
            return
        hashes = [row.sha256 for row in stored]
        try:
            named = _named(result, stored)
            encode({"result": named, "room": "." * _HEADER_ROOM})
        except GessoError as fault:
            self._store.unpin(job.id, hashes)
            await self.fail(job, GessoError(f"The result of the job cannot be described: {fault.message}"))
            return
        await self._end(job, "done", result=named, blobs=tuple(stored))
        self._store.unpin(job.id, hashes)

    async def fail(self, job: LiveJob, fault: GessoError) -> None:
        """End the job with an error."""
        await self.fail_wire(job, fault.to_wire())

    async def fail_wire(self, job: LiveJob, error: Mapping[str, Any]) -> None:
        """End the job with an error as the worker reported it."""
        try:
            encode({"error": error, "room": "." * _HEADER_ROOM})
        except GessoError as fault:
            error = GessoError(f"The job failed, and its error cannot be shown: {fault.message}").to_wire()
        await self._end(job, "failed", error=error)

    async def cancel(self, job: LiveJob) -> None:
        """End the job without result."""
        await self._end(job, "cancelled")

    async def seen(self, message: Seen) -> None:
        """Keep what the pictures of a job look like; with a full disk it is left to whoever searches."""
        with contextlib.suppress(StorageFull):
            await self._journal.submit(rows.keep_vectors, message.job, message.model, b"".join(message.blobs))

    async def _end(
        self,
        job: LiveJob,
        state: State,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        blobs: tuple[BlobRow, ...] = (),
    ) -> None:
        """Keeps trying while the disk is full: the state change is small, and until it is written the job has not ended."""
        job.ending = True
        progress = job.stream.progress.header if job.stream.progress else None
        ending = Ending(job.id, state, job.stream.seq + 1, result, error, progress, blobs)
        while True:
            try:
                pinned = await self._journal.submit(rows.end, ending)
                break
            except StorageFull as fault:
                _log.error("the end of a job waits for disk space", extra={"job": job.id, "fault": fault.message})
                await asyncio.sleep(_RETRY)
        self._store.remember(blobs)
        if pinned:
            self.pinned(job.id, [row.sha256 for row in blobs])
        self._store.unpin(job.id, job.blobs)
        job.state = state
        self._count(job, state, error)
        body = {"done": {"result": result}, "failed": {"error": error}, "cancelled": {}}[state]
        event = job.stream.add(state, body)
        self.ended(job)
        steps.reached("terminal.send")
        self._publish(event)
        steps.reached("terminal.sent")

    def _count(self, job: LiveJob, state: State, error: Mapping[str, Any] | None) -> None:
        metrics = self._metrics
        setattr(metrics, state, getattr(metrics, state) + 1)
        metrics.poisoned += bool(error and error.get("code") == "poisoned")
        if job.began:
            metrics.job_seconds.observe(time.monotonic() - job.began)
        code = error.get("code") if error else None
        _log.info("a job ended", extra={"job": job.id, "state": state, "code": code, "attempt": job.attempt})


def _named(result: Mapping[str, Any], stored: Sequence[BlobRow]) -> dict[str, Any]:
    """The result with hash and size of each image filled in; images and blobs belong together by order."""
    images = result.get("images")
    if not isinstance(images, list) or len(images) != len(stored) or not all(isinstance(image, dict) for image in images):
        raise GessoError(f"it names its images badly, or other than the {len(stored)} that came with it")
    if any(row.size > LIMITS["blob_bytes"] for row in stored):
        raise GessoError("an image is larger than a blob may be")
    return {**result, "images": [{**image, "sha256": row.sha256, "size": row.size} for image, row in zip(images, stored, strict=True)]}
