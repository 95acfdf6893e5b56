"""The blob store: immutable bytes by their SHA-256, each stored once, under a quota. Files come first, journal rows second;
a file without a row is swept. It decodes no image.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gesso.daemon import files, rows
from gesso.daemon.journal import Journal
from gesso.daemon.rows import BlobRow
from gesso.errors import BlobMissing, GessoError, StorageFull

_log = logging.getLogger(__name__)


class BlobStore:
    """All methods run on the loop; files are read and written in threads. ``limit``: bytes that blobs may take; ``reserve``: bytes of
    the disk that stay free for the journal.
    """

    def __init__(self, root: Path, incoming: Path, journal: Journal) -> None:
        self.root = root
        self.incoming = incoming
        self.limit = self.reserve = 0
        self._journal = journal
        self._known: dict[str, BlobRow] = {}
        self._pins: dict[str, set[str]] = defaultdict(set)
        self._booked = 0
        self._bytes = {"result": 0, "input": 0}
        self._started = time.time()

    async def load(self) -> None:
        """Learn from the journal what there is, and sweep half-written files."""
        swept = files.sweep(self.root, self.incoming)
        if swept:
            _log.info("half-written files were removed", extra={"files": swept})
        for row in await self._journal.submit(rows.all_blobs):
            self._remember(row)

    async def reconcile(self) -> None:
        """Bring files and rows together again: orphans are removed, rows without a file forgotten. Runs beside normal work."""
        try:
            found = await asyncio.to_thread(files.stored, self.root)
        except OSError as fault:
            _log.error("the blob files cannot be listed; nothing was reconciled", extra={"fault": str(fault)})
            return
        lost = [sha256 for sha256, row in self._known.items() if sha256 not in found and row.used < self._started]
        orphans = [sha256 for sha256, written in found.items() if sha256 not in self._known and written < self._started]
        await self._drop(lost)
        for sha256 in orphans:
            files.blob_path(self.root, sha256).unlink(missing_ok=True)
        if lost or orphans:
            _log.info("blob files and journal were reconciled", extra={"lost": len(lost), "orphans": len(orphans)})

    def has(self, sha256: str) -> bool:
        """Whether the blob is stored."""
        return sha256 in self._known

    def size(self, sha256: str) -> int:
        """Its size in bytes; BlobMissing."""
        row = self._known.get(sha256)
        if row is None:
            raise _missing([sha256])
        return row.size

    def require(self, hashes: Iterable[str]) -> None:
        """BlobMissing with the list of those that are not stored."""
        missing = sorted({sha256 for sha256 in hashes if sha256 not in self._known})
        if missing:
            raise _missing(missing)

    def pin(self, owner: str, hashes: Iterable[str]) -> None:
        """Keep these blobs while ``owner`` (a job) needs them."""
        for sha256 in hashes:
            self._pins[sha256].add(owner)

    def unpin(self, owner: str, hashes: Iterable[str]) -> None:
        """``owner`` needs them no more."""
        for sha256 in hashes:
            owners = self._pins.get(sha256, set())
            owners.discard(owner)
            if not owners:
                self._pins.pop(sha256, None)

    async def read(self, sha256: str, offset: int, length: int) -> bytes:
        """A slice of a blob; BlobMissing."""
        self.size(sha256)
        try:
            return await asyncio.to_thread(files.read_slice, files.blob_path(self.root, sha256), offset, length)
        except FileNotFoundError as fault:
            await self._drop([sha256])
            raise _missing([sha256]) from fault

    async def store_results(self, owner: str, blobs: Sequence[bytes]) -> list[BlobRow]:
        """Write results to disk, pinned by ``owner``. The caller journals the rows with the end of the job, then `remember`s them."""
        hashes = await asyncio.to_thread(lambda: [hashlib.sha256(data).hexdigest() for data in blobs])
        self.pin(owner, hashes)
        fresh = [data for data, sha256 in zip(blobs, hashes, strict=True) if sha256 not in self._known]
        try:
            await self.make_room(sum(map(len, fresh)))
            await asyncio.to_thread(lambda: [files.write_blob(self.root, data) for data in fresh])
        except (OSError, StorageFull) as fault:
            self.unpin(owner, hashes)
            raise (disk_fault(fault) if isinstance(fault, OSError) else fault) from fault
        now = time.time()
        return [BlobRow(sha256, len(data), "result", now) for sha256, data in zip(hashes, blobs, strict=True)]

    async def add_input(self, sha256: str, size: int) -> None:
        """Journal an input whose file has just been renamed into its place."""
        row = BlobRow(sha256, size, "input", time.time())
        await self._journal.submit(rows.put_blob, row)
        self.remember([row])

    def remember(self, added: Iterable[BlobRow]) -> None:
        """These rows are in the journal now."""
        for row in added:
            self._remember(row)

    async def touch(self, sha256: str) -> None:
        """The blob was offered again: it counts as fresh when room is needed."""
        row = self._known[sha256]
        await self.add_input(sha256, row.size)

    def book(self, size: int) -> None:
        """Count bytes of an unfinished upload against the quota."""
        self._booked += size

    def unbook(self, size: int) -> None:
        """They are gone, or counted as a blob."""
        self._booked -= size

    async def make_room(self, size: int) -> None:
        """Evict until ``size`` more bytes fit quota and disk: the oldest unpinned results first, then inputs; StorageFull."""
        wanted = max(self.used + self._booked + size - self.limit, size + self.reserve - files.free_bytes(self.root))
        if wanted <= 0:
            return
        victims: list[str] = []
        free = [row for row in self._known.values() if row.sha256 not in self._pins]
        for row in sorted(free, key=lambda row: (row.kind != "result", row.used)):
            if wanted <= 0:
                break
            victims.append(row.sha256)
            wanted -= row.size
        if wanted > 0:
            in_use = f"{self.used} of {self.limit} are in use and the disk has {files.free_bytes(self.root)} free"
            raise StorageFull(
                f"There is no room for {size} more bytes: {in_use}.",
                hint="Free some disk space, raise the setting storage.limit, or let running jobs end.",
            )
        await self._drop(victims)
        _log.info("old blobs were evicted", extra={"blobs": len(victims)})

    @property
    def used(self) -> int:
        """Bytes of all blobs."""
        return sum(self._bytes.values())

    async def drop_unpinned(self, hashes: Iterable[str]) -> int:
        """Remove those of these blobs that nobody needs; how many."""
        free = [sha256 for sha256 in hashes if sha256 in self._known and sha256 not in self._pins]
        await self._drop(free)
        return len(free)

    def status(self) -> dict[str, Any]:
        """For `state`."""
        return {
            "used": self.used,
            "limit": self.limit,
            "reserve": self.reserve,
            "blobs": len(self._known),
            "results": self._bytes["result"],
            "inputs": self._bytes["input"],
            "pinned": len(self._pins),
        }

    async def _drop(self, hashes: Sequence[str]) -> None:
        """Nothing is awaited between the look at the pins and the unlink, so nobody can come to need the file meanwhile."""
        for sha256 in hashes:
            row = self._known.pop(sha256, None)
            if row is not None:
                self._bytes[row.kind] -= row.size
            files.blob_path(self.root, sha256).unlink(missing_ok=True)
        if hashes:
            await self._journal.submit(rows.drop_blobs, hashes)

    def _remember(self, row: BlobRow) -> None:
        before = self._known.get(row.sha256)
        if before is not None:
            row = replace(row, kind=before.kind)  # as the journal has it: the first one counts
            self._bytes[row.kind] -= before.size
        self._known[row.sha256] = row
        self._bytes[row.kind] += row.size


def disk_fault(fault: OSError) -> GessoError:
    """A failed write as the sentence that its client gets."""
    return StorageFull(
        f"The data could not be stored: {fault.strerror or fault}.", hint="Free some disk space; nothing that was accepted is lost."
    )


def _missing(hashes: Sequence[str]) -> BlobMissing:
    return BlobMissing(
        f"The daemon does not hold {len(hashes)} of the images that were named.",
        hint="Upload them first; old results may have been removed to make room.",
        details={"missing": list(hashes)},
    )
