"""Pages of the history: every job that is done, once, in the order of their ends, and no one else's."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gesso.daemon import history, journal, rows
from gesso.errors import InvalidRequest

DONE = json.dumps({"images": [{"index": 0, "role": "image", "media_type": "image/png", "ending": "png", "sha256": "a" * 64, "seed": 3}]})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    found, _ = journal.open_database(tmp_path / "j.sqlite")
    yield found
    found.close()


def add(db: sqlite3.Connection, number: int, end: float, state: str = "done", principal: str = "me", result: str | None = DONE) -> str:
    job = f"{number:032x}"
    request = json.dumps({"operation": "generate", "params": {"prompt": f"brick {number} " + "x" * 400}})
    db.execute(
        "INSERT INTO jobs (id, principal, client, client_key, request, request_sha, priority, state, result, created, updated) "
        "VALUES (?, ?, 'c', ?, ?, 's', 'batch', ?, ?, ?, ?)",
        (job, principal, str(number), request, state, result, end, end),
    )
    return job


def read(db: sqlite3.Connection, principal: str | None = None, ids: bool = False) -> list[Any]:
    found: list[Any] = []
    after, more = "", True
    while more:
        head, payload = history.page(db, principal, after, ids)
        page = json.loads(payload)
        found += page
        more = head["more"]
        after = (page[-1] if ids else page[-1]["mark"]) if page else after
    return found


@pytest.mark.parametrize(("jobs", "size"), [(2, 900_000), (500, 900_000), (2, 10)])
def test_every_job_is_on_one_page(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, jobs: int, size: int) -> None:
    monkeypatch.setattr(history, "JOBS", jobs)
    monkeypatch.setattr(history, "IDS", jobs)
    monkeypatch.setattr(history, "BYTES", size)
    made = [add(db, 9 - i, end=float(i // 2)) for i in range(9)]  # two end at the same moment
    add(db, 20, 3.0, state="failed", result=None)
    add(db, 21, 3.0, state="running", result=None)
    assert sorted(entry["job"] for entry in read(db)) == sorted(made)
    ends = [float(entry["mark"].split("/")[0]) for entry in read(db)]
    assert ends == sorted(ends)
    assert read(db, ids=True) == sorted(made)
    assert history.page(db, None, "", False)[0]["total"] == 9
    first = read(db)[0]
    assert first["images"] == [{"index": 0, "role": "image", "media_type": "image/png", "ending": "png", "sha256": "a" * 64}]
    assert (first["operation"], len(first["prompt"])) == ("generate", 300)


def test_vectors_live_as_long_as_their_job(db: sqlite3.Connection) -> None:
    first, second = add(db, 1, 1.0), add(db, 2, 2.0)
    rows.keep_vectors(db, first, "old", b"ab")
    rows.keep_vectors(db, first, "m", b"abcd")
    rows.keep_vectors(db, "f" * 32, "m", b"of a job that was forgotten")
    seen = {entry["job"]: entry["vectors"] for entry in read(db)}
    assert seen == {first: {"model": "m", "rows": base64.b64encode(b"abcd").decode()}, second: None}
    rows.forget(db, [first])
    assert db.execute("SELECT count(*) FROM vectors").fetchone()[0] == 0


def test_a_principal_sees_its_own_jobs_only(db: sqlite3.Connection) -> None:
    mine = add(db, 1, 1.0)
    add(db, 2, 2.0, principal="you")
    assert [entry["job"] for entry in read(db, "me")] == [mine]
    assert read(db, "me", ids=True) == [mine]
    assert history.page(db, "me", "", False)[0]["total"] == 1


def test_rot_and_wrong_marks(db: sqlite3.Connection) -> None:
    add(db, 1, 1.0, result="{torn")
    assert read(db)[0]["images"] == []
    with pytest.raises(InvalidRequest) as caught:
        history.page(db, None, "yesterday", False)
    assert caught.value.field == "after"


def test_no_page_reads_the_whole_history(db: sqlite3.Connection) -> None:
    plan = " ".join(
        str(tuple(row))
        for row in db.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE (updated, id) > (?, ?) AND +state = 'done' ORDER BY updated, id LIMIT 5",
            (1.0, ""),
        )
    )
    assert "jobs_by_end" in plan
