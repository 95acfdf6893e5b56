"""The journal: SQLite behind one connection on one thread, write-ahead log, `synchronous=FULL`. A call that returned is on disk.

Calls that arrive while a commit is under way share the next one. There is no second connection, for readers neither: versions of SQLite
before 3.51.3 can lose committed writes when a WAL database has two (sqlite.org/changes.html, 3.53.0).
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from gesso.daemon import rows, steps
from gesso.errors import GessoError, StorageFull, VersionMismatch

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_BATCH = 256
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "busy_timeout=5000",
    "fullfsync=ON",
    "checkpoint_fullfsync=ON",
    "wal_autocheckpoint=256",
    "journal_size_limit=1048576",
)
_OF_THE_DISK = (
    "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_READONLY", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_NOMEM", "SQLITE_PERM"
)  # fmt: skip
"""Faults that are not the file's own: it is left where it is."""
_HEADER = 512  # bytes: the smallest page of SQLite
_THOROUGH = 64 << 20  # bytes of a journal up to which indices are compared with their tables too, which takes a fraction of a second
_Work = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


def open_database(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """(connection, where a damaged predecessor was put or None); VersionMismatch for a journal of a newer Gesso."""
    try:
        return _open_checked(path), None
    except sqlite3.Error as fault:
        if str(getattr(fault, "sqlite_errorname", "")).startswith(_OF_THE_DISK):
            raise StorageFull(
                f"The journal {path} cannot be opened: {fault}.", hint="Free some disk space and check its permissions."
            ) from fault
        aside = path.with_name(f"{path.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}{path.suffix}")
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                os.replace(part, aside.with_name(aside.name + suffix))
        _log.error("the journal is damaged and was moved aside", extra={"aside": str(aside), "fault": str(fault)})
        return _open_checked(path), aside


def _open_checked(path: Path) -> sqlite3.Connection:
    if path.exists() and path.stat().st_size < _HEADER:
        raise sqlite3.DatabaseError("the file has been cut off")  # SQLite takes it for a new one
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")  # a rotten letter must not make the whole record unreadable
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
        thorough = path.stat().st_size < _THOROUGH
        verdict = db.execute("PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"SQLite says: {verdict}")
        _migrate(db, path)
        rows.look(db)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > rows.VERSION:
        raise VersionMismatch(
            f"The journal {path} has version {version}; this Gesso knows versions up to {rows.VERSION}.",
            hint="It was written by a newer Gesso: use that one, or another GESSO_HOME.",
        )
    for number in range(version, rows.VERSION):
        db.executescript(f"BEGIN IMMEDIATE; {rows.MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")


def as_gesso_error(fault: sqlite3.Error | OSError) -> GessoError:
    """What the client of a failed write gets to read."""
    name = str(getattr(fault, "sqlite_errorname", ""))
    if isinstance(fault, OSError) or name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        return StorageFull(
            f"The journal could not be written: {fault}.", hint="Free some disk space; nothing that was accepted is lost.",
        )  # fmt: skip
    return GessoError(f"The journal could not be used: {fault}.")


class Journal:
    """The asyncio side of the journal's thread."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[Path | None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._serve, args=(path,), name="gesso-journal", daemon=True)
        self.aside: Path | None = None
        self._thread.start()

    async def opened(self) -> None:
        """Wait until the journal is open; raises what kept it from opening."""
        self.aside = await self._opened

    def submit(self, work: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> asyncio.Future[_T]:
        """Run ``work(connection, ...)`` inside a transaction; calls keep their order. The future is done once it is on disk."""
        future: asyncio.Future[_T] = self._loop.create_future()
        self._queue.put((lambda db: work(db, *args, **kwargs), future))
        return future

    async def close(self) -> None:
        """Finish what was submitted, then close the file."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, 8.0)

    def _serve(self, path: Path) -> None:
        try:
            db, aside = open_database(path)
        except BaseException as fault:
            self._resolve([(self._opened, None, fault)])
            return
        self._resolve([(self._opened, aside, None)])
        try:
            while (first := self._queue.get()) is not None:
                batch, last = self._gather(first)
                self._resolve(_run_batch(db, batch))
                if last:
                    return
        finally:
            db.close()

    def _gather(self, first: _Work) -> tuple[list[_Work], bool]:
        batch = [first]
        while len(batch) < _BATCH:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                break
            if work is None:
                return batch, True
            batch.append(work)
        return batch, False

    def _resolve(self, outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
        def settle() -> None:
            for future, value, fault in outcomes:
                if future.cancelled():
                    continue
                if fault is None:
                    future.set_result(value)
                else:
                    future.set_exception(fault)

        self._loop.call_soon_threadsafe(settle)


def _run_batch(db: sqlite3.Connection, batch: list[_Work]) -> list[tuple[asyncio.Future[Any], Any, BaseException | None]]:
    """One transaction for all; a call that raises undoes only itself, a failing disk fails every call of the batch."""
    try:
        return _transaction(db, batch)
    except (sqlite3.Error, OSError) as fault:
        _undo(db, fault)
        first = fault
    try:
        # What stands in the write-ahead log stands in the file as well once it was copied there: that may be all the room that is needed.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return _transaction(db, batch)
    except (sqlite3.Error, OSError) as fault:
        _undo(db, fault)
    error = as_gesso_error(first)
    return [(future, None, error) for _, future in batch]


def _undo(db: sqlite3.Connection, fault: sqlite3.Error | OSError) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
    _log.error("a transaction failed", extra={"fault": str(fault)})


def _transaction(db: sqlite3.Connection, batch: list[_Work]) -> list[tuple[asyncio.Future[Any], Any, BaseException | None]]:
    steps.reached("journal.begin")
    db.execute("BEGIN IMMEDIATE")
    outcomes = [(future, *_run_one(db, work)) for work, future in batch]
    steps.reached("journal.commit")
    db.execute("COMMIT")
    steps.reached("journal.committed")
    return outcomes


def _run_one(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]) -> tuple[Any, BaseException | None]:
    db.execute("SAVEPOINT call")
    try:
        value = work(db)
    except Exception as fault:
        if isinstance(fault, (sqlite3.Error, OSError)) and not isinstance(fault, sqlite3.IntegrityError):
            raise
        db.execute("ROLLBACK TO call")
        db.execute("RELEASE call")
        return None, fault
    db.execute("RELEASE call")
    return value, None
