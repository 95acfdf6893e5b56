"""The journal's tables and every statement on them, as functions of an open transaction. It opens and commits nothing and
knows no thread: see `journal`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gesso.daemon.states import State, may_move
from gesso.errors import Conflict, GessoError, UnknownJob

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        principal TEXT NOT NULL,
        client TEXT NOT NULL,
        client_key TEXT NOT NULL,
        request TEXT NOT NULL,
        request_sha TEXT NOT NULL,
        priority TEXT NOT NULL,
        spec TEXT,
        state TEXT NOT NULL CHECK (state IN ('accepted', 'leased', 'running', 'done', 'failed', 'cancelled')),
        attempt INTEGER NOT NULL DEFAULT 0,
        suspect INTEGER NOT NULL DEFAULT 0,
        cancel_wanted INTEGER NOT NULL DEFAULT 0,
        seq INTEGER NOT NULL DEFAULT 0,
        progress TEXT,
        result TEXT,
        error TEXT,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        UNIQUE (principal, client_key)
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, created);
    CREATE TABLE blobs (
        sha256 TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('input', 'result')),
        used REAL NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE jobs ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX jobs_by_end ON jobs (updated);
    CREATE TABLE holds (
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (job, sha256)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX holds_by_blob ON holds (sha256);
    INSERT OR IGNORE INTO holds
        SELECT jobs.id, named.value FROM jobs, json_tree(jobs.request, '$.params') AS named
        WHERE named.key = 'sha256' AND named.type = 'text';
    INSERT OR IGNORE INTO holds
        SELECT jobs.id, json_extract(image.value, '$.sha256') FROM jobs, json_each(jobs.result, '$.images') AS image
        WHERE jobs.result IS NOT NULL AND json_extract(image.value, '$.sha256') IS NOT NULL;
    """,
    "ALTER TABLE jobs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;",
    "CREATE TABLE vectors (job TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE, model TEXT NOT NULL, rows BLOB NOT NULL) STRICT;",
)
VERSION = len(MIGRATIONS)
_COLUMNS = (
    "id, principal, client, client_key, request, request_sha, priority, spec, state, attempt, suspect, cancel_wanted, seq, progress, "
    "result, error, created, updated, pinned, paused"
)


@dataclass(frozen=True)
class JobRow:
    """One job as it stands in the journal. ``request``: operation, params (complete), level, output."""

    id: str
    principal: str
    client: str
    client_key: str
    request: Mapping[str, Any]
    request_sha: str
    priority: str
    spec: Mapping[str, Any] | None
    state: State
    attempt: int
    suspect: int
    cancel_wanted: bool
    seq: int
    progress: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    created: float
    updated: float
    pinned: bool
    paused: bool


@dataclass(frozen=True)
class BlobRow:
    """One blob that is completely on disk."""

    sha256: str
    size: int
    kind: str
    used: float


@dataclass(frozen=True)
class NewJob:
    """A checked request on its way into the journal."""

    id: str
    principal: str
    client: str
    client_key: str
    request: Mapping[str, Any]
    request_sha: str
    priority: str
    blobs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ending:
    """How a job ended, and the blobs that its result names."""

    job: str
    state: State
    seq: int
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    progress: Mapping[str, Any] | None = None
    blobs: tuple[BlobRow, ...] = ()


def _dump(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"), allow_nan=False)


def _load(text: str | None, instead: Any = None) -> Any:
    """What a column holds; ``instead`` where rot has made it unreadable, so that one bad record hides no others."""
    try:
        found = None if text is None else json.loads(text)
    except ValueError:
        return instead
    return found if found is None or isinstance(found, dict) else instead


def _job(row: sqlite3.Row) -> JobRow:
    values = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over its values
    for name in ("spec", "progress", "result", "error"):
        values[name] = _load(values[name])
    values["request"] = {"operation": "", "params": {}, **_load(values["request"], {})}
    return JobRow(**{**values, **{name: bool(values[name]) for name in ("cancel_wanted", "pinned", "paused")}})


def look(db: sqlite3.Connection) -> None:
    """Touch every column that the statements here name: a schema that lacks one raises."""
    db.execute(f"SELECT {_COLUMNS} FROM jobs LIMIT 1").fetchall()
    db.execute("SELECT sha256, size, kind, used, job FROM blobs NATURAL LEFT JOIN holds LIMIT 1").fetchall()
    db.execute("SELECT job, model, rows FROM vectors LIMIT 1").fetchall()


def fail_damaged(db: sqlite3.Connection) -> list[str]:
    """End the unfinished jobs whose records cannot be read any more; their ids."""
    live = db.execute("SELECT id, request, spec FROM jobs WHERE state IN ('accepted', 'leased', 'running')").fetchall()
    lost = [str(row[0]) for row in live if not _load(row[1], {}).get("operation") or (row[2] is not None and _load(row[2]) is None)]
    error = GessoError("The journal's record of this job is damaged, so it cannot be run.", hint="Submit it again.").to_wire()
    db.executemany("UPDATE jobs SET state = 'failed', error = ?, seq = seq + 1 WHERE id = ?", [(_dump(error), job) for job in lost])
    return lost


def find_key(db: sqlite3.Connection, principal: str, key: str, request_sha: str) -> JobRow | None:
    """The job submitted with this key, or None; Conflict if it was submitted with another request."""
    row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE principal = ? AND client_key = ?", (principal, key)).fetchone()
    if row is None:
        return None
    job = _job(row)
    if job.request_sha != request_sha:
        raise Conflict(
            f"The key {key!r} was used before for another request (job {job.id}).",
            field="key",
            hint="Make a fresh key for each new request; send the same key only to repeat the same request.",
            details={"job": job.id},
        )
    return job


def insert_job(db: sqlite3.Connection, new: NewJob) -> tuple[JobRow, bool]:
    """Write the job; (row, whether it was there already)."""
    known = find_key(db, new.principal, new.client_key, new.request_sha)
    if known is not None:
        return known, True
    now = time.time()
    db.execute(
        "INSERT INTO jobs (id, principal, client, client_key, request, request_sha, priority, state, seq, created, updated) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'accepted', 1, ?, ?)",
        (new.id, new.principal, new.client, new.client_key, _dump(new.request), new.request_sha, new.priority, now, now),
    )
    _hold(db, new.id, new.blobs)
    return get_job(db, new.id), False


def get_job(db: sqlite3.Connection, job: str) -> JobRow:
    """The job of this id; UnknownJob."""
    row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        raise UnknownJob(f"There is no job {job!r}.", field="job", hint="`gesso jobs list` shows the jobs that are known.")
    return _job(row)


def live_jobs(db: sqlite3.Connection) -> list[JobRow]:
    """All jobs without an end, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE state IN ('accepted', 'leased', 'running') ORDER BY created, rowid")
    return [_job(row) for row in rows]


def list_jobs(db: sqlite3.Connection, principal: str | None, states: Sequence[str], limit: int) -> tuple[list[JobRow], int]:
    """(the newest ``limit`` jobs in one of ``states``, how many there are in all); principal None sees every job."""
    where = f"state IN ({', '.join('?' * len(states))})" + ("" if principal is None else " AND principal = ?")
    values = [*states, *([] if principal is None else [principal])]
    total = int(db.execute(f"SELECT count(*) FROM jobs WHERE {where}", values).fetchone()[0])
    rows = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE {where} ORDER BY created DESC, rowid DESC LIMIT ?", [*values, limit])
    return [_job(row) for row in rows], total


def finished(db: sqlite3.Connection, principal: str | None, after: tuple[float, str] | None, limit: int) -> list[JobRow]:
    """The next jobs that are done, in the order in which they ended, behind (end, id); principal None sees every job."""
    behind = after or (-1.0, "")
    own = "" if principal is None else " AND principal = ?"
    values: list[Any] = [*behind, *([] if principal is None else [principal]), limit]
    found = db.execute(  # the plus keeps SQLite on the index by end: by state it would read and sort every job
        f"SELECT {_COLUMNS} FROM jobs WHERE (updated, id) > (?, ?) AND +state = 'done'{own} ORDER BY updated, id LIMIT ?", values
    )
    return [_job(row) for row in found]


def keep_vectors(db: sqlite3.Connection, job: str, model: str, vectors: bytes) -> None:
    """What the pictures of a job look like to a model, in the place of what another model saw; nothing for a job that was forgotten."""
    db.execute("INSERT OR REPLACE INTO vectors SELECT id, ?, ? FROM jobs WHERE id = ?", (model, vectors, job))


def vectors(db: sqlite3.Connection, jobs: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """(model, rows) of those jobs whose pictures were looked at."""
    found = db.execute(f"SELECT job, model, rows FROM vectors WHERE job IN ({', '.join('?' * len(jobs))})", list(jobs))
    return {str(row[0]): (str(row[1]), bytes(row[2])) for row in found}


def finished_ids(db: sqlite3.Connection, principal: str | None, after: str, limit: int) -> list[str]:
    """The next ids of jobs that are done, in their own order, behind ``after``."""
    own = "" if principal is None else " AND principal = ?"
    values: list[Any] = [after, *([] if principal is None else [principal]), limit]
    return [str(row[0]) for row in db.execute(f"SELECT id FROM jobs WHERE id > ? AND state = 'done'{own} ORDER BY id LIMIT ?", values)]


def count_finished(db: sqlite3.Connection, principal: str | None) -> int:
    """How many jobs are done."""
    own = "" if principal is None else " AND principal = ?"
    return int(db.execute(f"SELECT count(*) FROM jobs WHERE state = 'done'{own}", [] if principal is None else [principal]).fetchone()[0])


def count_states(db: sqlite3.Connection) -> dict[str, int]:
    """Jobs by state."""
    return {str(state): int(n) for state, n in db.execute("SELECT state, count(*) FROM jobs GROUP BY state")}


def move(db: sqlite3.Connection, job: str, after: State, seq: int) -> None:
    """Change a job's state; a move that the table lacks is a fault of the front."""
    row = db.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None or not may_move(row[0], after):
        raise GessoError(f"The job {job} cannot go from {row and row[0]!r} to {after!r}.")
    db.execute("UPDATE jobs SET state = ?, seq = ?, updated = ? WHERE id = ?", (after, seq, time.time(), job))


def lease(db: sqlite3.Connection, job: str, seq: int) -> int:
    """Count the attempt before it begins; returns its number."""
    move(db, job, "leased", seq)
    db.execute("UPDATE jobs SET attempt = attempt + 1 WHERE id = ?", (job,))
    return int(db.execute("SELECT attempt FROM jobs WHERE id = ?", (job,)).fetchone()[0])


def start(db: sqlite3.Connection, job: str, spec: Mapping[str, Any] | None, seq: int) -> None:
    """The job runs; a spec is written once and never changed."""
    move(db, job, "running", seq)
    db.execute("UPDATE jobs SET spec = coalesce(spec, ?) WHERE id = ?", (_dump(spec), job))


def requeue(db: sqlite3.Connection, jobs: Iterable[tuple[str, int]], suspects: Iterable[str]) -> None:
    """Give (id, seq) back to the queue; ``suspects`` were in the black box."""
    for job, seq in jobs:
        if get_job(db, job).state != "accepted":  # its lease may not have reached the disk
            move(db, job, "accepted", seq)
    db.executemany("UPDATE jobs SET suspect = suspect + 1 WHERE id = ?", [(job,) for job in suspects])


def want_cancel(db: sqlite3.Connection, job: str) -> None:
    """Remember the wish, so that no restart runs the job again."""
    db.execute("UPDATE jobs SET cancel_wanted = 1 WHERE id = ?", (job,))


def steer(db: sqlite3.Connection, job: str, paused: bool, priority: str) -> None:
    """Whether a job without an end stands, and its priority."""
    db.execute(
        "UPDATE jobs SET paused = ?, priority = ? WHERE id = ? AND state IN ('accepted', 'leased', 'running')", (int(paused), priority, job)
    )


def _hold(db: sqlite3.Connection, job: str, hashes: Iterable[str]) -> None:
    """Note that a job names these blobs."""
    db.executemany("INSERT OR IGNORE INTO holds (job, sha256) VALUES (?, ?)", [(job, sha256) for sha256 in hashes])


def end(db: sqlite3.Connection, ending: Ending) -> bool:
    """The one end of a job together with the blobs of its result; whether the job is pinned."""
    move(db, ending.job, ending.state, ending.seq)
    db.execute(
        "UPDATE jobs SET result = ?, error = ?, progress = ? WHERE id = ?",
        (_dump(ending.result), _dump(ending.error), _dump(ending.progress), ending.job),
    )
    for blob in ending.blobs:
        put_blob(db, blob)
    _hold(db, ending.job, [blob.sha256 for blob in ending.blobs])
    return bool(db.execute("SELECT pinned FROM jobs WHERE id = ?", (ending.job,)).fetchone()[0])


def put_blob(db: sqlite3.Connection, blob: BlobRow) -> None:
    """Add a blob, or note that it was used again."""
    db.execute(
        "INSERT INTO blobs (sha256, size, kind, used) VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET used = excluded.used",
        (blob.sha256, blob.size, blob.kind, blob.used),
    )


def pin(db: sqlite3.Connection, job: str, on: bool) -> list[str]:
    """Keep a job and its pictures, or no longer; the blobs that it holds."""
    db.execute("UPDATE jobs SET pinned = ? WHERE id = ?", (int(on), job))
    return [str(row[0]) for row in db.execute("SELECT sha256 FROM holds WHERE job = ?", (job,))]


def pins(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """(job, blob) of every pinned job."""
    found = db.execute("SELECT holds.job, holds.sha256 FROM holds JOIN jobs ON jobs.id = holds.job WHERE jobs.pinned = 1")
    return [(str(row[0]), str(row[1])) for row in found]


def forget(db: sqlite3.Connection, jobs: Iterable[str]) -> list[str]:
    """Remove jobs that have ended; the blobs that no job holds any more."""
    freed: set[str] = set()
    for job in jobs:
        freed.update(str(row[0]) for row in db.execute("SELECT sha256 FROM holds WHERE job = ?", (job,)))
        db.execute("DELETE FROM jobs WHERE id = ? AND state IN ('done', 'failed', 'cancelled')", (job,))
    return [sha256 for sha256 in freed if db.execute("SELECT 1 FROM holds WHERE sha256 = ? LIMIT 1", (sha256,)).fetchone() is None]


def expired_jobs(db: sqlite3.Connection, before: float, limit: int) -> list[str]:
    """Jobs that ended before that time and are not pinned."""
    found = db.execute(
        "SELECT id FROM jobs WHERE updated < ? AND pinned = 0 AND state IN ('done', 'failed', 'cancelled') ORDER BY updated LIMIT ?",
        (before, limit),
    )
    return [str(row[0]) for row in found]


def unheld_blobs(db: sqlite3.Connection, before: float, limit: int) -> list[str]:
    """Blobs that were last offered before that time and that no job names."""
    found = db.execute(
        "SELECT sha256 FROM blobs WHERE used < ? AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.sha256 = blobs.sha256) LIMIT ?",
        (before, limit),
    )
    return [str(row[0]) for row in found]


def drop_blobs(db: sqlite3.Connection, hashes: Iterable[str]) -> None:
    """Forget blobs whose files are going away."""
    db.executemany("DELETE FROM blobs WHERE sha256 = ?", [(sha256,) for sha256 in hashes])


def all_blobs(db: sqlite3.Connection) -> list[BlobRow]:
    """Every blob that the journal knows."""
    return [BlobRow(*tuple(row)) for row in db.execute("SELECT sha256, size, kind, used FROM blobs")]
