"""Pages of what was made, for those who keep a copy of their own of it. It keeps none, and knows no picture."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from gesso.daemon import rows
from gesso.daemon.rows import JobRow
from gesso.errors import InvalidRequest

JOBS, IDS, BYTES, PROMPT = 500, 20_000, 900_000, 300
"""The most jobs and ids on a page, the bytes after which it ends, and the letters of a prompt."""


def page(db: sqlite3.Connection, principal: str | None, after: str, ids: bool) -> tuple[dict[str, Any], bytes]:
    """(total and whether there is more, the page itself) as `history` answers."""
    total = rows.count_finished(db, principal)
    if ids:
        found = rows.finished_ids(db, principal, after, IDS)
        return {"total": total, "more": len(found) == IDS}, json.dumps(found, separators=(",", ":")).encode()
    jobs = rows.finished(db, principal, _read_mark(after) if after else None, JOBS)
    seen = rows.vectors(db, [job.id for job in jobs])
    lines: list[bytes] = []
    room = BYTES
    for job in jobs:
        line = json.dumps(_entry(job, seen.get(job.id)), separators=(",", ":")).encode()
        room -= len(line) + 1
        if room < 0 and lines:
            break
        lines.append(line)
    more = len(lines) < len(jobs) or len(jobs) == JOBS
    return {"total": total, "more": more}, b"[" + b",".join(lines) + b"]"


def _entry(job: JobRow, seen: tuple[str, bytes] | None) -> Mapping[str, Any]:
    images = (job.result or {}).get("images") or ()
    prompt = job.request["params"].get("prompt")
    return {
        "job": job.id,
        "mark": f"{job.updated!r}/{job.id}",
        "operation": job.request["operation"],
        "prompt": prompt[:PROMPT] if isinstance(prompt, str) else "",
        "images": [{name: image.get(name) for name in ("index", "role", "media_type", "ending", "sha256")} for image in images],
        "vectors": None if seen is None else {"model": seen[0], "rows": base64.b64encode(seen[1]).decode()},
    }


def _read_mark(after: str) -> tuple[float, str]:
    time, _, job = after.partition("/")
    try:
        return float(time), job
    except ValueError:
        raise InvalidRequest("`after` is the mark of a job on an earlier page.", field="after") from None
