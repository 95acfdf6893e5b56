"""Moves images: up in parts with credit or through a file that both sides see, down in parts or from the blob's own file. Blocking."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import sys
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO, Deque, Dict, Iterator, List, Mapping, Tuple, Union

from ..errors import GessoError, InvalidRequest, ProtocolError, StorageFull, TooLarge, Unreachable
from ..wire.message import LIMITS, Message
from .link import Link
from .session import ANSWER_SECONDS, Request

Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview]

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_ATTEMPTS = 3
_HASHED = 1 << 20
"""Bytes up to which an image is hashed before it is sent, so that one which the daemon has is not sent again. A larger one is copied faster
than it is hashed: where the daemon sees the file, it alone does that."""
_SLOWEST = 10 * 1024 * 1024  # bytes a second that a daemon's disk takes at least
_MAGIC: Tuple[Tuple[bytes, str], ...] = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))


def upload(link: Link, source: Source) -> str:
    """Bring an image to the daemon, unless it has it; gives its SHA-256. Raises InvalidRequest for a file that cannot be read."""
    with _open(source) as file:
        for attempt in range(1, _ATTEMPTS + 1):
            nonce = link.opened.nonce
            size, media_type = _examine(file)
            sha256 = _hash(file) if nonce is None or size <= _HASHED else None
            try:
                return _bring(link, file, {"size": size, "sha256": sha256, "media_type": media_type, "nonce": nonce})
            except (Unreachable, ProtocolError) as fault:
                if attempt == _ATTEMPTS or isinstance(fault, TooLarge) or not (isinstance(fault, Unreachable) or fault.field == "upload"):
                    raise
    raise AssertionError("the last attempt returns or raises")


def download(link: Link, sha256: str) -> bytes:
    """A blob's bytes; raises BlobMissing where the daemon has it no more."""
    if not _HASH.match(sha256):
        raise InvalidRequest("A blob is named by 64 lower-case hexadecimal digits.", field="sha256")
    opened = link.opened
    folder = opened.welcome.get("blobs")
    if opened.nonce is not None and folder:
        try:
            return (Path(folder) / sha256[:2] / sha256).read_bytes()
        except OSError:
            pass  # evicted, or closed to us: the daemon itself says which
    return _pull(link, sha256)


def view(link: Link, sha256: str) -> memoryview:
    """The same, read-only and without a copy where the daemon's file can be mapped: pages are read as they are looked at."""
    opened = link.opened
    folder = opened.welcome.get("blobs")
    if opened.nonce is not None and folder and _HASH.match(sha256) and sys.platform != "win32":  # there a mapped file cannot be evicted
        try:
            with open(Path(folder) / sha256[:2] / sha256, "rb") as file:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):
            pass  # evicted, or empty
    return memoryview(download(link, sha256))


def describe(link: Link) -> bytes:
    """The compiled schema file."""
    parts: List[bytes] = []
    while True:
        message = link.request("describe", {"offset": sum(map(len, parts))}).answer.result()
        parts.append(message.payload)
        if sum(map(len, parts)) >= message.header["size"] or not message.payload:
            return b"".join(parts)


def replace_paths(params: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[Tuple[Dict[str, str], Source]]]:
    """(the parameters with every `Path` and every bytes replaced by an empty blob reference, what belongs into each reference)."""
    found: List[Tuple[Dict[str, str], Source]] = []

    def walk(value: Any) -> Any:
        if isinstance(value, (Path, bytes, bytearray, memoryview)):
            reference: Dict[str, str] = {}
            found.append((reference, value))
            return reference
        if isinstance(value, Mapping):
            return {key: walk(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(part) for part in value]
        return value

    return {name: walk(value) for name, value in params.items()}, found


class _Memory:
    """An image in memory, read like a file, whose parts are views: a large one is not copied in order to be hashed and written."""

    def __init__(self, source: Union[bytes, bytearray, memoryview]) -> None:
        self._view = memoryview(source).cast("B")
        self._at = 0

    def __enter__(self) -> "_Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self._view.release()

    def read(self, size: int) -> memoryview:
        part = self._view[self._at : self._at + size]
        self._at += len(part)
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (len(self._view) if whence == os.SEEK_END else 0)
        return self._at


def _open(source: Source) -> "Union[BinaryIO, _Memory]":
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _Memory(source)
    try:
        return open(source, "rb")
    except OSError as fault:
        raise InvalidRequest(f"The file {os.fspath(source)} cannot be read: {fault.strerror or fault}.") from fault


def _examine(file: "Union[BinaryIO, _Memory]") -> Tuple[int, str]:
    """(size, media type); leaves the file at its beginning."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    first = bytes(file.read(16))
    file.seek(0)
    if size > LIMITS["blob_bytes"]:
        raise TooLarge(f"A file has {size} bytes; at most {LIMITS['blob_bytes']} are allowed.")
    media_type = next((name for magic, name in _MAGIC if first.startswith(magic)), "application/octet-stream")
    return size, media_type


def _hash(file: "Union[BinaryIO, _Memory]") -> str:
    """The SHA-256; leaves the file at its beginning."""
    digest = hashlib.sha256()
    for part in iter(lambda: file.read(LIMITS["payload_bytes"]), b""):
        digest.update(part)
    file.seek(0)
    return digest.hexdigest()


def _bring(link: Link, file: "Union[BinaryIO, _Memory]", begin: Mapping[str, Any]) -> str:
    ready = link.request("blob.begin", begin).answer.result().header
    sha256, size = begin["sha256"], int(begin["size"])
    if ready["done"] and sha256 is not None:
        return str(sha256)
    upload_id, path = ready.get("upload"), ready.get("path")
    if not upload_id:
        raise ProtocolError("The daemon offered no upload.")
    patience = ANSWER_SECONDS + size / _SLOWEST
    file.seek(0)
    if path and begin["nonce"] is not None:
        _copy(file, path)
        last = link.request("blob.part", {"upload": upload_id, "offset": size}, seconds=patience).answer.result()
    else:
        last = _send_parts(link, file, str(upload_id), patience)
    found = str(last.header.get("sha256"))
    if not _HASH.match(found) or (sha256 is not None and found != sha256):
        raise ProtocolError("The daemon received other bytes than were sent.", field="upload")
    return found


def _copy(file: "Union[BinaryIO, _Memory]", path: str) -> None:
    try:
        with open(path, "wb") as target:
            for part in iter(lambda: file.read(LIMITS["payload_bytes"]), b""):
                target.write(part)
    except OSError as fault:
        raise StorageFull(f"A file could not be handed over as {path}: {fault.strerror or fault}.") from fault


def _send_parts(link: Link, file: "Union[BinaryIO, _Memory]", upload_id: str, patience: float) -> Message:
    """At most ``upload_credit`` parts under way, in order; gives the last answer."""
    credit = int(link.opened.welcome["limits"].get("upload_credit", 1))
    under_way: Deque[Request] = deque()
    last = None
    for offset, part in _parts(file):
        if len(under_way) >= credit:
            last = under_way.popleft().answer.result()
        under_way.append(link.request("blob.part", {"upload": upload_id, "offset": offset}, part, patience))
    for request in under_way:
        last = request.answer.result()
    if last is None:
        raise ProtocolError("The daemon answered no part.")
    return last


def _parts(file: "Union[BinaryIO, _Memory]") -> Iterator[Tuple[int, bytes]]:
    """The file in parts; an empty file is one empty part."""
    offset = 0
    part = file.read(LIMITS["payload_bytes"])
    while part or offset == 0:
        yield offset, bytes(part)
        offset += len(part)
        part = file.read(LIMITS["payload_bytes"])
        if not part:
            return


def _pull(link: Link, sha256: str) -> bytes:
    most = LIMITS["payload_bytes"]
    first = link.request("blob.get", {"sha256": sha256, "offset": 0, "length": most}).answer.result()
    size = int(first.header["size"])
    parts = [first.payload]
    offsets = deque(range(len(first.payload), size, most)) if first.payload else deque()
    under_way: Deque[Request] = deque()
    while offsets or under_way:
        while offsets and len(under_way) < LIMITS["upload_credit"]:
            under_way.append(link.request("blob.get", {"sha256": sha256, "offset": offsets.popleft(), "length": most}))
        parts.append(under_way.popleft().answer.result().payload)
    data = b"".join(parts)
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        raise GessoError("The daemon sent other bytes than the image it was asked for.")
    return data
