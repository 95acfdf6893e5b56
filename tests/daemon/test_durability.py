"""What was accepted survives the front's death at any instant: a log of acknowledged ids against the journal, after SIGKILL and restart."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gesso.daemon import steps
from gesso.errors import GessoError, StorageFull

from .conftest import Make
from .talk import Daemon, Talk

SLOW = pytest.mark.reliability
KILLS = int(os.environ.get("GESSO_TEST_KILLS", "50"))


class Load:
    """A client that submits as fast as it can, each request twice where an answer was lost, and notes every id that it was promised."""

    def __init__(self, daemon: Daemon, number: int) -> None:
        self.promised: dict[str, str] = {}
        self.keys: list[str] = []
        self.stopping = False
        self._daemon = daemon
        self._number = number
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with Talk(str(self._daemon.info().ipc), hello=False) as talk:
                talk.alive = self._daemon.is_alive
                talk.hello(f"load-{self._number}")
                while not self.stopping:
                    key = os.urandom(8).hex()
                    self.keys.append(key)
                    answer = talk.submit("unique:200", key=key, params={"seed": 1}, watch=False)
                    self.promised[answer["job"]] = key
        except (TimeoutError, RuntimeError, GessoError):
            return


def restart_and_check(daemon: Daemon, promised: dict[str, str], finished: dict[str, Any]) -> None:
    """Every promised id is known, ends as done, and its result never changes."""
    daemon.start()
    with daemon.talk() as talk:
        for job, key in promised.items():
            assert talk.ask("attach", job=job)["state"] != "unknown"
            again = talk.submit("unique:200", key=key, params={"seed": 1})
            assert (again["job"], again["duplicate"]) == (job, True)
        for job in promised:
            end = talk.ask("attach", job=job)["snapshot"]["terminal"] or talk.end(job)
            assert end["type"] == "done", end
            result = end["result"]["images"]
            assert finished.setdefault(job, result) == result
            assert len(talk.blob(result[0]["sha256"])) == 200
    with sqlite3.connect(f"file:{daemon.home.journal}?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.parametrize("kills", [5, pytest.param(KILLS, marks=[SLOW, pytest.mark.timeout(60 + 10 * KILLS)])])
def test_no_accepted_job_is_lost_when_the_front_is_killed_at_random(make_daemon: Make, kills: int) -> None:
    chance = random.Random(20)
    daemon = make_daemon()
    finished: dict[str, Any] = {}
    total = 0
    daemon.start()
    for _ in range(kills):
        loads = [Load(daemon, number) for number in range(2)]
        time.sleep(chance.uniform(0.02, 0.25))
        daemon.kill()
        for load in loads:
            load.stopping = True
            load.thread.join(10)
        promised = {job: key for load in loads for job, key in load.promised.items()}
        total += len(promised)
        restart_and_check(daemon, promised, finished)
    print(f"{kills} kills, {total} jobs acknowledged, 0 lost")
    assert total > kills


EVERY_RUN = {("journal.committed", 8), ("accepted.send", 1), ("blob.renamed", 1), ("finished.received", 1)}
STEPS = [
    *((name, nth) for name in steps.NAMES if name.startswith("journal") for nth in (1, 4, 6, 7, 8, 9, 10)),
    *((name, 1) for name in steps.NAMES if not name.startswith("journal")),
]
NAMED = [pytest.param(*step, marks=() if step in EVERY_RUN else SLOW) for step in STEPS]


@pytest.mark.parametrize(("step", "nth"), NAMED)
def test_no_accepted_job_is_lost_when_the_front_is_killed_at_a_named_step(make_daemon: Make, step: str, nth: int) -> None:
    daemon = make_daemon()
    daemon.start(wait=False, sabotage={"do": "kill", "step": step, "nth": nth})
    promised: dict[str, str] = {}
    try:
        with Talk(str(daemon.info().ipc), hello=False) as talk:
            talk.alive = daemon.is_alive
            talk.hello("test")
            ident = talk.post("submit", key="the key", operation="paint", params={"prompt": "unique:200", "seed": 1})
            promised[talk.answer(ident)[0]["job"]] = "the key"
            talk.end(next(iter(promised)))
            talk.ask("status")
    except (RuntimeError, TimeoutError):
        assert not daemon.is_alive(), "the front hangs"
    assert daemon.live.wait(10) == -9, f"the step {step} was not reached {nth} times"
    daemon.output()
    restart_and_check(daemon, promised, {})
    assert not list(daemon.home.blobs.glob(".tmp-*"))


def test_the_queue_keeps_its_order_over_a_clean_stop(make_daemon: Make, tmp_path: Path) -> None:
    gate, turns = tmp_path / "gate", tmp_path / "turns"
    daemon = make_daemon({"GESSO_FAKE_SLOTS": "1"}).start()
    noted = f"note:{turns}"  # by the worker: ends are stored beside one another and may change places
    with daemon.talk() as talk:
        first = talk.submit(f"gate:{gate} {noted}")["job"]
        talk.event(first, "started")
        jobs = [talk.submit(noted, params={"seed": i})["job"] for i in range(4)]
        urgent = talk.submit(noted, priority="interactive")["job"]
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 10
    assert not daemon.home.daemon_file.exists()
    gate.touch()
    daemon.start()
    with daemon.talk() as talk:
        for job in (first, *jobs, urgent):
            talk.ask("attach", job=job)
            talk.end(job)
    assert turns.read_text().split() == [urgent, first, *jobs]


def test_a_cancel_that_was_answered_holds_over_a_kill(make_daemon: Make) -> None:
    daemon = make_daemon().start()
    with daemon.talk() as talk:
        job = talk.submit("deaf sleep:60")["job"]
        talk.event(job, "started")
        talk.ask("cancel", job=job)
    daemon.kill()
    daemon.start()
    with daemon.talk() as talk:
        attached = talk.ask("attach", job=job)
        assert attached["state"] == "cancelled" or talk.end(job)["type"] == "cancelled"


def test_numbers_of_a_stream_only_grow_over_a_restart(make_daemon: Make, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    daemon = make_daemon().start()
    with daemon.talk() as talk:
        job = talk.submit(f"progress:50 gate:{gate}")["job"]
        while talk.event(job, "progress")["step"] < 50:
            pass
        last = talk.ask("attach", job=job)["seq"]
    daemon.kill()
    daemon.start()
    with daemon.talk() as talk:
        assert talk.ask("attach", job=job, from_=last + 1)["seq"] > last
        gate.touch()
        seen = [talk.event(job)]
        while seen[-1]["type"] != "done":
            seen.append(talk.event(job))
        assert seen[0]["seq"] > last
        assert [event["type"] for event in seen][:2] == ["queued", "started"]


def test_replay_logs_outlive_a_kill_and_end_with_their_job(make_daemon: Make, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    daemon = make_daemon().start()
    folder = daemon.home.state / "replay"
    with daemon.talk() as talk:
        job = talk.submit(f"progress:1 gate:{gate}")["job"]
        talk.event(job, "progress")
    daemon.kill()
    (folder / "nobody.replay").touch()
    assert (folder / f"{job}.replay").exists()
    daemon.start()
    assert [path.name for path in folder.iterdir()] == [f"{job}.replay"]
    gate.touch()
    with daemon.talk() as talk:
        talk.ask("attach", job=job)
        assert talk.end(job)["type"] == "done"
    assert not list(folder.iterdir())


def test_a_damaged_journal_is_moved_aside_and_reported(make_daemon: Make) -> None:
    daemon = make_daemon().start()
    with daemon.talk() as talk:
        talk.run("image:64")
    daemon.stop()
    raw = bytearray(daemon.home.journal.read_bytes())
    raw[4096:8192] = os.urandom(4096)
    daemon.home.journal.write_bytes(raw)
    daemon.start()
    with daemon.talk() as talk:
        aside = talk.ask("status")["storage"]["journal_moved_aside"]
        assert Path(aside).exists()
        assert talk.run("image:64")["type"] == "done"


def test_a_journal_of_a_newer_gesso_is_left_alone(make_daemon: Make) -> None:
    daemon = make_daemon().start()
    daemon.stop()
    with sqlite3.connect(daemon.home.journal) as db:
        db.execute("PRAGMA user_version = 99")
    daemon.start(wait=False)
    assert daemon.live.wait(10) == 1
    assert "version_mismatch" in daemon.output()


@pytest.mark.parametrize("nth", [7, 9, *(pytest.param(nth, marks=SLOW) for nth in (5, 6, 8, 10, 11))])
def test_a_transaction_that_fails_refuses_honestly_and_heals(make_daemon: Make, nth: int) -> None:
    daemon = make_daemon().start(sabotage={"do": "fail", "step": "journal.commit", "nth": nth, "times": 2})
    with daemon.talk() as talk:
        done = 0
        for number in range(3):
            try:
                job = talk.submit("unique:200", key=str(number), params={"seed": 1})["job"]
            except StorageFull:
                job = talk.submit("unique:200", key=str(number), params={"seed": 1})["job"]
            done += talk.end(job)["type"] == "done"
        assert done == 3


@pytest.mark.parametrize("step", ["blob.write", "blob.fsync", "blob.rename"])
def test_a_result_that_cannot_be_stored_fails_its_job_only(make_daemon: Make, step: str) -> None:
    daemon = make_daemon().start(sabotage={"do": "fail", "step": step, "nth": 1, "times": 1})
    with daemon.talk() as talk:
        failed = talk.run("unique:200")
        assert failed["error"]["code"] == "storage_full"
        assert talk.run("unique:200")["type"] == "done"
    assert not list(daemon.home.blobs.glob(".tmp-*"))


def test_a_file_size_limit_as_on_a_full_disk_loses_nothing(make_daemon: Make) -> None:
    daemon = make_daemon().start(file_size=300_000)
    with daemon.talk() as talk:
        assert talk.run("unique:400000")["error"]["code"] == "storage_full"
        ids = []
        try:
            for number in range(400):
                ids.append(talk.submit("image:64", key=str(number), params={"seed": 1, "options": {"x": "y" * 2000}}, watch=False)["job"])
        except StorageFull:
            pass
        assert 0 < len(ids) < 400
    daemon.kill()
    daemon.start()
    with daemon.talk() as talk:
        for job in ids:
            end = talk.ask("attach", job=job)["snapshot"]["terminal"] or talk.end(job)
            assert end["type"] == "done", end
