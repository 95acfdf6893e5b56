"""Content hashes of model files, computed as the peers do, so that a picture's infotext names the same model everywhere.

A1111's short hash, Civitai's AutoV2: the first 10 digits of the file's SHA-256. AutoV3, as A1111 writes it for LoRAs (12 digits): SHA-256
of the tensors' bytes alone, so that an edit of the metadata changes nothing. Hashing reads the whole file; what was computed is kept, by
path, size and time of change, in a file that processes share.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from gesso import statefiles
from gesso.errors import ModelError
from gesso.library.header import AGAIN, HEADER_LIMIT

CACHE_NAME = "hashes.json"
SHORT, SHORT_LORA = 10, 12
WORTH_KEEPING = 8 * 1024 * 1024
"""Bytes from which on a hash is written down: below it is as quickly computed."""
_MOST_KEPT = 5000


class Hashes:
    """Hashes of files. ``cache``: where they are kept between processes; None: only in memory."""

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._known: dict[str, str] = {}
        self._stamp: statefiles.Stamp | None = None

    def keep_in(self, cache: Path) -> None:
        """Keep hashes in this file from now on, and take those that are there."""
        self._cache, self._stamp = cache, None

    def sha256(self, path: Path) -> str:
        """Of the whole file: 64 digits."""
        return self._hash(path, "sha256")

    def autov3(self, path: Path) -> str:
        """Of the tensors' bytes alone: 64 digits."""
        return self._hash(path, "autov3")

    def of_files(self, root: Path, paths: Iterable[Path]) -> str:
        """One SHA-256 over the names and contents of these files below ``root``."""
        whole = hashlib.sha256()
        for path in sorted(paths):
            whole.update(f"{path.relative_to(root).as_posix()}\0{self.sha256(path)}\n".encode())
        return whole.hexdigest()

    def _hash(self, path: Path, how: str) -> str:
        try:
            status = path.stat()
            key = f"{how} {status.st_size} {status.st_mtime_ns} {path.resolve()}"
            found = self._known.get(key) or self._kept(key)
            if found is None:
                with path.open("rb") as file:
                    if how == "autov3":
                        _skip_header(file)
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if status.st_size >= WORTH_KEEPING:
                    self._keep(key, found)
        except OSError as fault:
            raise ModelError(f"{path} cannot be read: {fault.strerror}.", hint=AGAIN) from fault
        self._known[key] = found
        return found

    def _kept(self, key: str) -> str | None:
        """What another process wrote down."""
        if self._cache is None:
            return None
        stamp = statefiles.stamp(self._cache)
        if stamp != self._stamp:
            self._stamp = stamp
            self._known.update(self._read())
        return self._known.get(key)

    def _read(self) -> dict[str, str]:
        assert self._cache is not None
        try:
            content = json.loads(self._cache.read_bytes())
            return {str(key): str(value) for key, value in content.items()}
        except (OSError, ValueError, AttributeError):
            return {}  # a cache that cannot be read is computed anew

    def _keep(self, key: str, found: str) -> None:
        if self._cache is None or not self._cache.parent.is_dir():
            return
        place = key.split(" ", 3)
        with statefiles.locked(self._cache.parent):
            older = {k: v for k, v in self._read().items() if k.split(" ", 3)[::3] != place[::3]}
            kept = dict(list({**older, key: found}.items())[-_MOST_KEPT:])
            statefiles.write(self._cache, kept)


def _skip_header(file: BinaryIO) -> None:
    length = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
    file.seek(8 + length if length <= HEADER_LIMIT else 0)


shared = Hashes()
"""The one that families use, since they are called with an entry and nothing else; `Hashes.keep_in` gives it its file."""
