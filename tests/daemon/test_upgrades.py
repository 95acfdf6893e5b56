"""Journals of every released schema are opened by this build; damaged ones are moved aside and reported, never silently emptied."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from gesso.daemon import rows
from gesso.daemon.files import blob_path
from gesso.daemon.journal import open_database
from gesso.errors import StorageFull, VersionMismatch

from . import journals
from .conftest import Make

PAGE = 4096
COPIES = 12
SLOW = pytest.mark.reliability


def test_there_is_a_journal_of_every_version() -> None:
    assert sorted(journals.SCHEMAS) == list(range(1, rows.VERSION + 1))


@pytest.mark.parametrize("version", sorted(journals.SCHEMAS))
def test_a_daemon_goes_on_with_the_journal_of_an_earlier_release(make_daemon: Make, version: int) -> None:
    daemon = make_daemon(settings={"storage.keep": 0})
    daemon.home.prepare()
    jobs = journals.write(daemon.home.journal, version, time.time() - 60)
    for sha256, data in ((journals.RESULT_SHA, journals.RESULT), (journals.INPUT_SHA, journals.INPUT)):
        place = blob_path(daemon.home.blobs, sha256)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        place.write_bytes(data)
    daemon.start()
    with daemon.talk() as talk:
        for state in ("accepted", "leased", "running"):
            talk.ask("attach", job=jobs[state])
            done = talk.end(jobs[state])
            assert done["type"] == "done"
            assert done["seq"] > 5
        assert talk.ask("attach", job=jobs["running"])["snapshot"]["terminal"]["result"]["info"]["spec"] == {"resolved": True}
        ended = talk.ask("attach", job=jobs["done"])["snapshot"]["terminal"]
        assert talk.blob(ended["result"]["images"][0]["sha256"]) == journals.RESULT
        assert talk.ask("attach", job=jobs["failed"])["snapshot"]["terminal"]["error"]["message"] == "It failed long ago."
        assert talk.ask("attach", job=jobs["cancelled"])["state"] == "cancelled"
        assert talk.ask("status")["storage"]["journal_moved_aside"] is None
        talk.ask("forget", job=jobs["done"])
        assert talk.ask("blob.have", sha256=[journals.RESULT_SHA, journals.INPUT_SHA])["sha256"] == [journals.RESULT_SHA]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of several pages, as a clean stop leaves it."""
    path = tmp_path_factory.mktemp("whole") / "journal.sqlite"
    journals.write(path, rows.VERSION, 1e9, COPIES)
    return path


def damaged(whole: Path, folder: Path, raw: bytes) -> tuple[str, int]:
    """What becomes of the journal with these bytes: (opened, aside or refused; jobs that can be listed)."""
    path = folder / "journal.sqlite"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path.write_bytes(raw)
    try:
        db, aside = open_database(path)
    except (VersionMismatch, StorageFull):
        assert path.read_bytes() == raw, "a journal that is refused is left as it is"
        return "refused", 0
    try:
        assert rows.fail_damaged(db) is not None
        live = rows.live_jobs(db)
        listed, total = rows.list_jobs(db, None, list(journals.STATES), 10_000)
        assert len(listed) == total >= len(live)
    finally:
        db.close()
    if aside is not None:
        assert aside.read_bytes() == raw
        return "aside", total
    return "opened", total


def flips(raw: bytes, each: int) -> list[bytes]:
    chance = random.Random(19)
    found = []
    for page in range(len(raw) // PAGE):
        for _ in range(each):
            changed = bytearray(raw)
            changed[page * PAGE + chance.randrange(PAGE)] ^= 1 << chance.randrange(8)
            found.append(bytes(changed))
    return found


@pytest.mark.parametrize("each", [2, pytest.param(12, marks=SLOW)])
def test_a_flipped_bit_in_any_page_loses_nothing_silently(whole: Path, tmp_path: Path, each: int) -> None:
    raw = whole.read_bytes()
    seen = {"opened": 0, "aside": 0, "refused": 0}
    for changed in flips(raw, each):
        outcome, jobs = damaged(whole, tmp_path / "j", changed)
        seen[outcome] += 1
        assert outcome != "opened" or jobs == COPIES * len(journals.STATES)
    print(f"{len(raw) // PAGE} pages, {sum(seen.values())} flips: {seen}")
    assert seen["aside"] > 0


def test_a_journal_cut_off_anywhere_loses_nothing_silently(whole: Path, tmp_path: Path) -> None:
    raw = whole.read_bytes()
    for length in (0, 1, 99, 100, 511, 512, PAGE - 1, *range(PAGE, len(raw), PAGE), len(raw) - 1):
        outcome, _ = damaged(whole, tmp_path / "j", raw[:length])
        assert outcome == "aside", length


def test_a_page_of_noise_or_zeros_loses_nothing_silently(whole: Path, tmp_path: Path) -> None:
    raw = whole.read_bytes()
    for page in range(len(raw) // PAGE):
        for filling in (bytes(PAGE), random.Random(page).randbytes(PAGE)):
            changed = raw[: page * PAGE] + filling + raw[(page + 1) * PAGE :]
            outcome, jobs = damaged(whole, tmp_path / "j", changed)
            assert outcome == "aside" or jobs == COPIES * len(journals.STATES), page


def test_one_rotten_record_fails_its_job_and_hides_no_other(make_daemon: Make) -> None:
    daemon = make_daemon()
    daemon.home.prepare()
    jobs = journals.write(daemon.home.journal, rows.VERSION, time.time())
    with sqlite3.connect(daemon.home.journal) as db:
        db.execute("UPDATE jobs SET request = '{\"oper' WHERE id IN (?, ?)", (jobs["accepted"], jobs["cancelled"]))
        db.execute("UPDATE jobs SET spec = 'x' WHERE id = ?", (jobs["running"],))
    db.close()
    daemon.start()
    with daemon.talk() as talk:
        for state in ("accepted", "running"):
            failed = talk.ask("attach", job=jobs[state])["snapshot"]["terminal"]
            assert "record of this job is damaged" in failed["error"]["message"]
        talk.ask("attach", job=jobs["leased"])
        talk.end(jobs["leased"])
        assert talk.ask("list")["total"] == len(journals.STATES)
