"""Files that are either wholly there or not at all: temporary name, fsync, rename, fsync of the directory. It decodes
nothing and knows no quota.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import signal
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gesso.daemon import steps
from gesso.errors import InvalidRequest

TEMPORARY = ".tmp-"
_CHUNK = 1 << 20


def blob_path(root: Path, sha256: str) -> Path:
    """``<root>/<first two digits>/<sha256>``."""
    return root / sha256[:2] / sha256


def is_hash(text: object) -> bool:
    """Whether this has the form of a SHA-256 in lower-case hexadecimal."""
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


class BlobWriter:
    """One blob on its way to disk, hashed as it is written. Ends by `keep` or `discard`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hash = hashlib.sha256()
        self._descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=root)
        self._path = Path(name)
        self._durable = False
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append; OSError as the disk gives it."""
        steps.reached("blob.write")
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.size += len(data)

    def adopt(self, source: Path, descriptor: int, size: int) -> bool:
        """Make a client's whole file, open for reading here, our own under a name that the client does not know, without a copy. False,
        and nothing was done, where others might still write to it, or it lies on another file system.
        """
        if self.size or os.fstat(descriptor).st_nlink != 1 or not _closed_to_writers(descriptor):
            return False
        steps.reached("blob.write")
        try:
            os.replace(source, self._path)
        except OSError:
            return False
        if not os.path.samestat(os.lstat(self._path), os.fstat(descriptor)):
            raise InvalidRequest("The uploaded file was exchanged while it was taken.", field="upload")
        os.close(self._descriptor)
        self._descriptor = os.dup(descriptor)
        self._flush_and_hash(size)
        self._durable = True
        return True

    def take(self, source: int, size: int) -> None:
        """Append ``size`` bytes of an open file, copied by the kernel where it can; hashed from our copy, which nobody else can change."""
        steps.reached("blob.write")
        copied = _kernel_copy(source, self._descriptor, size) if self.size == 0 else 0
        if copied:
            self._flush_and_hash(copied)
            os.lseek(self._descriptor, copied, os.SEEK_SET)
        while chunk := os.read(source, min(_CHUNK, size - self.size)):
            self.write(chunk)

    def _flush_and_hash(self, size: int) -> None:
        """What lies in the file by now; the disk writes while the processor hashes."""
        with ThreadPoolExecutor(1) as disk, mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ) as view:
            flushed = disk.submit(os.fsync, self._descriptor)
            self._hash.update(view)
            flushed.result()  # an error of the disk is told once only
        self.size = size

    def sha256(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()

    def keep(self) -> str:
        """Make it durable and read-only under its hash, which is returned."""
        sha256 = self.sha256()
        place = blob_path(self._root, sha256)
        steps.reached("blob.fsync")
        if not self._durable:
            os.fchmod(self._descriptor, 0o400)
            os.fsync(self._descriptor)
        self._close()
        if not place.parent.exists():
            place.parent.mkdir(mode=0o700, exist_ok=True)
            _sync_directory(self._root)
        steps.reached("blob.rename")
        os.replace(self._path, place)
        _sync_directory(place.parent)
        steps.reached("blob.renamed")
        return sha256

    def discard(self) -> None:
        """Leave nothing behind; harmless after `keep`."""
        self._close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def write_blob(root: Path, data: bytes) -> str:
    """Store ``data``; its hash."""
    writer = BlobWriter(root)
    try:
        writer.write(data)
        return writer.keep()
    finally:
        writer.discard()


def bring_into(writer: BlobWriter, source: Path, size: int) -> None:
    """Take a client's file over, or copy it: a plain file of ``size`` bytes, owned by us and no link; InvalidRequest otherwise."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as fault:
        raise InvalidRequest(f"The uploaded file cannot be opened: {fault.strerror}.", field="upload") from fault
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_size != size:
            raise InvalidRequest(f"The uploaded file is not a plain file of {size} bytes.", field="upload")
        if not writer.adopt(source, descriptor, size):
            writer.take(descriptor, size)
    finally:
        os.close(descriptor)


def _closed_to_writers(descriptor: int) -> bool:
    """Make a file read-only, and tell whether nobody has it open or mapped for writing: only then does Linux lease it to a reader."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    os.fchmod(descriptor, 0o400)
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored; who opens it for writing meanwhile must not end us
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _kernel_copy(source: int, target: int, size: int) -> int:
    """Bytes copied without passing through this process; 0 where kernel or file system cannot."""
    copied = 0
    while copied < size and hasattr(os, "copy_file_range"):
        try:
            count = os.copy_file_range(source, target, size - copied)
        except OSError as fault:
            if copied or fault.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                raise
            break
        if not count:
            break
        copied += count
    return copied


def read_slice(path: Path, offset: int, length: int) -> bytes:
    """Up to ``length`` bytes from ``offset``; FileNotFoundError."""
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


def sweep(blobs: Path, incoming: Path) -> int:
    """Remove what an earlier front left half written; how many files that were."""
    rest = [*blobs.glob(TEMPORARY + "*"), *incoming.iterdir()]
    for path in rest:
        remove(path)
    return len(rest)


def remove(path: Path) -> None:
    """Remove whatever a client put there; nothing is followed, and what is gone already is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def stored(blobs: Path) -> dict[str, float]:
    """Every blob file by its hash, with the time it was written."""
    found: dict[str, float] = {}
    for directory in blobs.iterdir():
        if directory.is_dir():
            found.update({entry.name: entry.stat().st_mtime for entry in os.scandir(directory)})
    return found


def size_of(folder: Path, pattern: str) -> int:
    """Bytes of the files directly in a folder whose names match; what goes meanwhile counts nothing."""
    total = 0
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def free_bytes(path: Path) -> int:
    """What an ordinary user may still write on this file system."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
