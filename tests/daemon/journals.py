"""Journals as each released schema wrote them, by hand: one job in each state, with its blobs. Add one with each migration."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

RESULT, INPUT = b"a result of an earlier release", b"an input of an earlier release"
RESULT_SHA, INPUT_SHA = (hashlib.sha256(data).hexdigest() for data in (RESULT, INPUT))

_SCHEMA_1 = """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, principal TEXT NOT NULL, client TEXT NOT NULL, client_key TEXT NOT NULL, request TEXT NOT NULL,
        request_sha TEXT NOT NULL, priority TEXT NOT NULL, spec TEXT,
        state TEXT NOT NULL CHECK (state IN ('accepted', 'leased', 'running', 'done', 'failed', 'cancelled')),
        attempt INTEGER NOT NULL DEFAULT 0, suspect INTEGER NOT NULL DEFAULT 0, cancel_wanted INTEGER NOT NULL DEFAULT 0,
        seq INTEGER NOT NULL DEFAULT 0, progress TEXT, result TEXT, error TEXT, created REAL NOT NULL, updated REAL NOT NULL,
        UNIQUE (principal, client_key)
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, created);
    CREATE TABLE blobs (
        sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('input', 'result')), used REAL NOT NULL
    ) STRICT;
"""
_SCHEMA_2 = f"""{_SCHEMA_1}
    ALTER TABLE jobs ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX jobs_by_end ON jobs (updated);
    CREATE TABLE holds (
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, sha256 TEXT NOT NULL, PRIMARY KEY (job, sha256)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX holds_by_blob ON holds (sha256);
"""
_SCHEMA_3 = f"{_SCHEMA_2} ALTER TABLE jobs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;"
_SCHEMA_4 = f"""{_SCHEMA_3}
    CREATE TABLE vectors (job TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE, model TEXT NOT NULL, rows BLOB NOT NULL) STRICT;
"""
SCHEMAS = {1: _SCHEMA_1, 2: _SCHEMA_2, 3: _SCHEMA_3, 4: _SCHEMA_4}
STATES = ("accepted", "leased", "running", "done", "failed", "cancelled")


def write(path: Path, version: int, now: float, copies: int = 1) -> dict[str, str]:
    """Make a journal of that version with ``copies`` of one job in each state; state -> id of the first."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(SCHEMAS[version])
    for number in range(copies):
        for state in STATES:
            job = f"{number}-{state}"
            params = {"prompt": "unique:64", "seed": 1, "steps": 4, "tile": "none", "guidance": 7.5, "image": {"sha256": INPUT_SHA}}
            request = {"operation": "paint", "params": params, "level": "exact", "output": "png"}
            result = {"images": [{"sha256": RESULT_SHA, "size": len(RESULT), "role": "image", "index": 0}], "warnings": []}
            error = {"code": "model", "message": "It failed long ago."}
            begun = state in ("leased", "running")
            db.execute(
                "INSERT INTO jobs (id, principal, client, client_key, request, request_sha, priority, spec, state, attempt, seq, result, "
                "error, created, updated) VALUES (?, 'owner', 'old', ?, ?, 'sha', 'batch', ?, ?, ?, 5, ?, ?, ?, ?)",
                (
                    job,
                    f"key {job}",
                    json.dumps(request),
                    json.dumps({"resolved": True}) if state == "running" else None,
                    state,
                    int(begun),
                    json.dumps(result) if state == "done" else None,
                    json.dumps(error) if state == "failed" else None,
                    now + number,
                    now + number,
                ),
            )
            if version > 1:
                named = [INPUT_SHA, *([RESULT_SHA] if state == "done" else [])]
                db.executemany("INSERT INTO holds VALUES (?, ?)", [(job, sha256) for sha256 in named])
    for sha256, data, kind in ((RESULT_SHA, RESULT, "result"), (INPUT_SHA, INPUT, "input")):
        db.execute("INSERT INTO blobs VALUES (?, ?, ?, ?)", (sha256, len(data), kind, now))
    db.execute(f"PRAGMA user_version = {version}")
    db.commit()
    db.close()
    return {state: f"0-{state}" for state in STATES}
