"""The journal by itself: one transaction for calls that come together, faults that stay with their call, states that move by the table."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from pathlib import Path

import pytest

from gesso.daemon import rows, steps
from gesso.daemon.journal import Journal
from gesso.daemon.rows import BlobRow, Ending, NewJob
from gesso.daemon.states import ALL, MOVES, TERMINAL, State, may_move
from gesso.errors import Conflict, GessoError, StorageFull, UnknownJob
from gesso.wire import message as wire


def new(number: int, key: str | None = None, sha: str = "s") -> NewJob:
    return NewJob(f"{number:032x}", "owner", "test", key or f"k{number}", {"operation": "paint", "params": {}}, sha, "batch")


def test_the_states_are_those_of_the_protocol() -> None:
    assert ALL == wire.STATES
    assert tuple(state for state in ALL if state in TERMINAL) == wire.TERMINAL
    for before, after in itertools.product(ALL, ALL):
        assert may_move(before, after) == (after in MOVES[before])
        if before in TERMINAL:
            assert not may_move(before, after)


def test_calls_that_come_together_share_a_commit(tmp_path: Path) -> None:
    commits = 0

    def count(name: str) -> None:
        nonlocal commits
        commits += name == "journal.committed"

    async def run() -> int:
        journal = Journal(tmp_path / "j.sqlite")
        await journal.opened()
        steps.listen(count)
        await asyncio.gather(*[journal.submit(rows.insert_job, new(i)) for i in range(200)])
        steps.listen(None)
        total = (await journal.submit(rows.list_jobs, None, ALL, 10))[1]
        await journal.close()
        return total

    assert asyncio.run(run()) == 200
    assert 1 <= commits < 20


def test_a_call_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    async def run() -> tuple[list[object], list[str]]:
        journal = Journal(tmp_path / "j.sqlite")
        await journal.opened()

        def half(db: sqlite3.Connection) -> None:
            rows.insert_job(db, new(7))
            raise TypeError("a fault in the middle")

        found = await asyncio.gather(
            journal.submit(rows.insert_job, new(1)),
            journal.submit(half),
            journal.submit(rows.insert_job, new(2, "k1", "other")),
            journal.submit(rows.get_job, "nobody"),
            journal.submit(rows.insert_job, new(3)),
            return_exceptions=True,
        )
        listed, _ = await journal.submit(rows.list_jobs, None, ALL, 10)
        await journal.close()
        return list(found), sorted(row.client_key for row in listed)

    found, keys = asyncio.run(run())
    assert keys == ["k1", "k3"]
    assert [type(item) for item in found] == [tuple, TypeError, Conflict, UnknownJob, tuple]


def test_moves_that_the_table_lacks_are_refused(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(tmp_path / "j.sqlite")
        await journal.opened()
        for number, (before, after) in enumerate(itertools.product(ALL, ALL)):
            job = new(number)
            await journal.submit(rows.insert_job, job)
            await journal.submit(force, job.id, before)
            if may_move(before, after):
                await journal.submit(rows.move, job.id, after, 2)
            else:
                with pytest.raises(GessoError):
                    await journal.submit(rows.move, job.id, after, 2)
        await journal.close()

    def force(db: sqlite3.Connection, job: str, state: State) -> None:
        db.execute("UPDATE jobs SET state = ? WHERE id = ?", (state, job))

    asyncio.run(run())


def test_the_end_of_a_job_and_its_blobs_are_one_transaction(tmp_path: Path) -> None:
    async def run() -> tuple[str, int]:
        journal = Journal(tmp_path / "j.sqlite")
        await journal.opened()
        await journal.submit(rows.insert_job, new(1))
        await journal.submit(rows.lease, new(1).id, 2)

        def full(name: str) -> None:
            if name == "journal.commit":
                raise OSError(28, "No space left on device")

        ending = Ending(new(1).id, "done", 3, result={"images": []}, blobs=(BlobRow("a" * 64, 1, "result", 0.0),))
        steps.listen(full)
        with pytest.raises(StorageFull):
            await journal.submit(rows.end, ending)
        steps.listen(None)
        state = (await journal.submit(rows.get_job, new(1).id)).state
        blobs = len(await journal.submit(rows.all_blobs))
        await journal.submit(rows.end, ending)
        assert len(await journal.submit(rows.all_blobs)) == 1
        await journal.close()
        return state, blobs

    assert asyncio.run(run()) == ("leased", 0)


def test_every_fact_of_a_row_survives_reopening(tmp_path: Path) -> None:
    async def write() -> rows.JobRow:
        journal = Journal(tmp_path / "j.sqlite")
        await journal.opened()
        await journal.submit(rows.insert_job, new(1))
        assert await journal.submit(rows.lease, new(1).id, 2) == 1
        await journal.submit(rows.start, new(1).id, {"seed": 2**53}, 3)
        await journal.submit(rows.requeue, [(new(1).id, 4)], [new(1).id])
        await journal.submit(rows.want_cancel, new(1).id)
        row = await journal.submit(rows.get_job, new(1).id)
        await journal.close()
        return row

    async def read() -> rows.JobRow:
        journal = Journal(tmp_path / "j.sqlite")
        await journal.opened()
        (row,) = await journal.submit(rows.live_jobs)
        await journal.close()
        return row

    row = asyncio.run(write())
    assert row == asyncio.run(read())
    assert (row.state, row.attempt, row.suspect, row.cancel_wanted, row.seq, row.spec) == ("accepted", 1, 1, True, 4, {"seed": 2**53})


def test_the_pragmas_that_the_promise_rests_on_are_set(tmp_path: Path) -> None:
    async def run() -> dict[str, object]:
        journal = Journal(tmp_path / "j.sqlite")
        await journal.opened()

        def ask(db: sqlite3.Connection) -> dict[str, object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "user_version")
            return {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

        found = await journal.submit(ask)
        await journal.close()
        return found

    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "user_version": rows.VERSION}
    assert asyncio.run(run()) == expected
