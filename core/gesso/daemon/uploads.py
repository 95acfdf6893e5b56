"""Uploads in progress: a blob that arrives in parts with credit, or as a file under `incoming/` that the front names and takes over.
No path of a client is ever opened.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesso.daemon import files
from gesso.daemon.blobs import BlobStore, disk_fault
from gesso.errors import Busy, GessoError, InvalidRequest, ProtocolError, TooLarge
from gesso.wire.message import LIMITS

_PER_OWNER = 16
_IDLE = 120.0


@dataclass
class Upload:
    """One blob on its way in. ``sha256``: as it was announced, if it was. ``owner`` is the connection it belongs to and ends with;
    ``counted`` its bytes on disk so far.
    """

    name: str
    owner: object
    sha256: str | None
    size: int
    path: Path | None
    writer: files.BlobWriter | None = None
    counted: int = 0
    busy: bool = False
    dropped: bool = False
    touched: float = field(default_factory=time.monotonic)


class Uploads:
    """All uploads in progress."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._open: dict[str, Upload] = {}

    async def begin(self, owner: object, sha256: str | None, size: int, same_files: bool) -> dict[str, Any]:
        """The body of `blob.ready`; ``same_files``: the client proved that it sees our file system."""
        if sha256 is None and not same_files:
            raise ProtocolError("`sha256` is missing: only who writes the file itself may leave it out.", field="sha256")
        if sha256 is not None and not files.is_hash(sha256):
            raise InvalidRequest("`sha256` is 64 lower-case hexadecimal digits.", field="sha256")
        if size < 0:
            raise InvalidRequest("`size` is 0 or more.", field="size")
        if size > LIMITS["blob_bytes"]:
            raise TooLarge(f"The image has {size} bytes; at most {LIMITS['blob_bytes']} are allowed.", field="size")
        if sha256 is not None and self._store.has(sha256):
            await self._store.touch(sha256)
            return {"upload": None, "path": None, "done": True}
        if sum(upload.owner == owner for upload in self._open.values()) >= _PER_OWNER:
            raise Busy(f"{_PER_OWNER} uploads are under way on this connection.", details={"retry_after": 1.0})
        await self._store.make_room(size)
        name = secrets.token_hex(16)
        upload = Upload(name, owner, sha256, size, self._store.incoming / name if same_files else None)
        self._open[name] = upload
        self._store.pin(name, [sha256] if sha256 else [])
        return {"upload": name, "path": str(upload.path) if upload.path else None, "done": False}

    async def part(self, owner: object, name: str, offset: int, payload: bytes) -> dict[str, Any]:
        """Take one part, in order; the body of `blob.progress`."""
        upload = self._open.get(name)
        if upload is None or upload.owner != owner:
            raise ProtocolError("There is no such upload on this connection.", field="upload", hint="Begin it again with `blob.begin`.")
        upload.busy = True
        try:
            return await self._take(upload, offset, payload)
        except OSError as fault:
            self.drop(upload)
            raise disk_fault(fault) from fault
        except GessoError:
            self.drop(upload)
            raise
        finally:
            upload.busy = False
            if upload.dropped:
                _clean(upload)

    def close_owner(self, owner: object) -> None:
        """The connection is gone, and so are its uploads."""
        for upload in [upload for upload in self._open.values() if upload.owner == owner]:
            self.drop(upload)

    def expire(self) -> None:
        """Drop uploads that nobody has fed for two minutes: a ROUTER is not told when a connection ends."""
        oldest = time.monotonic() - _IDLE
        for upload in [upload for upload in self._open.values() if upload.touched < oldest and not upload.busy]:
            self.drop(upload)

    def close(self) -> None:
        """Drop them all."""
        for upload in list(self._open.values()):
            self.drop(upload)

    def drop(self, upload: Upload) -> None:
        """End an upload and remove what it left; harmless when repeated."""
        if self._open.pop(upload.name, None) is None:
            return
        self._store.unbook(upload.counted)
        self._store.unpin(upload.name, [upload.sha256] if upload.sha256 else [])
        upload.dropped = True
        if not upload.busy:  # else a thread still writes to it, and whoever waits for that thread cleans up
            _clean(upload)

    async def _take(self, upload: Upload, offset: int, payload: bytes) -> dict[str, Any]:
        upload.touched = time.monotonic()
        if upload.writer is None:
            upload.writer = await asyncio.to_thread(files.BlobWriter, self._store.root)
        writer = upload.writer
        by_file = upload.path is not None and offset == upload.size and not payload and writer.size == 0 and upload.size > 0
        if by_file and upload.path is not None:
            await asyncio.to_thread(files.bring_into, writer, upload.path, upload.size)
        elif offset != writer.size:
            raise InvalidRequest(f"The next part begins at {writer.size}, not at {offset}.", field="offset")
        elif writer.size + len(payload) > upload.size:
            raise TooLarge(f"The upload was announced with {upload.size} bytes.", field="offset")
        else:
            await asyncio.to_thread(writer.write, payload)
        if upload.dropped:
            raise ProtocolError("The connection of this upload is gone.", field="upload")
        self._store.book(writer.size - upload.counted)
        upload.counted = writer.size
        if writer.size < upload.size:
            return {"upload": upload.name, "received": writer.size, "sha256": None}
        return await self._finish(upload, writer)

    async def _finish(self, upload: Upload, writer: files.BlobWriter) -> dict[str, Any]:
        sha256 = writer.sha256()
        if upload.sha256 is None:
            upload.sha256 = sha256
            self._store.pin(upload.name, [sha256])
        elif sha256 != upload.sha256:
            raise InvalidRequest("What was uploaded has another SHA-256 than announced.", field="sha256", hint="Send it again.")
        if not self._store.has(sha256):
            await asyncio.to_thread(writer.keep)
        await self._store.add_input(sha256, upload.size)
        self.drop(upload)
        return {"upload": upload.name, "received": upload.size, "sha256": sha256}


def _clean(upload: Upload) -> None:
    """Remove what an upload left on disk."""
    if upload.writer is not None:
        upload.writer.discard()
    if upload.path is not None:
        files.remove(upload.path)
