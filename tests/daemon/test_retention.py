"""What is kept and what goes: forgetting, pins, age, blobs that no job names, each over a restart too; and leaving with drained work."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from gesso.daemon.retention import UNNAMED
from gesso.errors import BlobMissing, InvalidRequest, UnknownJob

from .conftest import Make
from .talk import Daemon, Talk


def image_of(done: dict[str, object]) -> str:
    result = done["result"]
    assert isinstance(result, dict)
    return str(result["images"][0]["sha256"])


def age(daemon: Daemon, seconds: float) -> None:
    """Let everything in a stopped daemon's journal be older."""
    with sqlite3.connect(daemon.home.journal) as db:
        db.execute("UPDATE jobs SET updated = updated - ?, created = created - ?", (seconds, seconds))
        db.execute("UPDATE blobs SET used = used - ?", (seconds,))
    db.close()


def jobs(talk: Talk) -> set[str]:
    return {line["job"] for line in talk.ask("list")["jobs"]}


def test_a_forgotten_job_is_gone_with_what_only_it_named(daemon: Daemon, talk: Talk) -> None:
    shared, own = (talk.upload(data) for data in (b"shared input", b"own input"))
    first = talk.run("unique:500 fetch", params={"image": {"sha256": shared}})
    second = talk.run("unique:600", params={"image": {"sha256": own}})
    third = talk.run("fetch", params={"image": {"sha256": shared}})
    talk.ask("forget", job=first["job"])
    assert jobs(talk) == {second["job"], third["job"]}
    assert talk.ask("blob.have", sha256=[image_of(first), shared, own])["sha256"] == [image_of(first)]
    talk.ask("forget", job=second["job"])
    talk.ask("forget", job=third["job"])
    assert talk.ask("blob.have", sha256=[shared, own])["sha256"] == [shared, own]
    assert talk.ask("status")["storage"]["used"] == 0
    assert not [path for path in daemon.home.blobs.rglob("*") if path.is_file()]
    with pytest.raises(UnknownJob):
        talk.ask("forget", job=first["job"])
    with pytest.raises(UnknownJob):
        talk.ask("attach", job=first["job"])


def test_the_key_of_a_forgotten_job_is_free_again(talk: Talk) -> None:
    first = talk.submit("image:64", key="k")["job"]
    talk.end(first)
    talk.ask("forget", job=first)
    again = talk.submit("image:65", key="k")
    assert again["duplicate"] is False


def test_a_job_that_has_not_ended_is_not_forgotten(talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = talk.submit(f"gate:{gate}")["job"]
    talk.event(job, "started")
    with pytest.raises(InvalidRequest, match="has not ended"):
        talk.ask("forget", job=job)
    gate.touch()
    assert talk.end(job)["type"] == "done"


def test_old_jobs_go_by_age_and_pinned_ones_stay(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"storage.keep": 3600}).start()
    with daemon.talk() as talk:
        old, pinned = talk.run("unique:500"), talk.run("unique:500")
        talk.ask("pin", job=pinned["job"], pinned=True)
    daemon.stop()
    age(daemon, 7200)
    daemon.start()
    with daemon.talk() as talk:
        while old["job"] in jobs(talk):
            time.sleep(0.02)
        assert jobs(talk) == {pinned["job"]}
        assert talk.ask("list", job=pinned["job"])["jobs"][0]["pinned"] is True
        assert talk.ask("blob.have", sha256=[image_of(old), image_of(pinned)])["sha256"] == [image_of(old)]
        talk.ask("pin", job=pinned["job"], pinned=False)
    daemon.stop()
    daemon.start()
    with daemon.talk() as talk:
        while jobs(talk):
            time.sleep(0.02)
        assert talk.ask("status")["storage"]["used"] == 0


def test_nothing_goes_by_age_where_it_is_never(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"storage.keep": 0}).start()
    with daemon.talk() as talk:
        old = talk.run("image:64")
    daemon.stop()
    age(daemon, 1e9)
    daemon.start()
    with daemon.talk() as talk:
        time.sleep(1)
        assert jobs(talk) == {old["job"]}


def test_an_upload_that_no_job_named_goes_after_a_day(make_daemon: Make) -> None:
    daemon = make_daemon(prewarm=False).start()
    with daemon.talk() as talk:
        sha256 = talk.upload(b"for nothing")
    daemon.stop()
    age(daemon, UNNAMED + 60)
    daemon.start()
    with daemon.talk() as talk:
        while not talk.ask("blob.have", sha256=[sha256])["sha256"]:
            time.sleep(0.02)


def test_a_pin_holds_against_the_cap_even_when_it_came_before_the_result(make_daemon: Make, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    daemon = make_daemon(settings={"storage.limit": 1_000_000}).start()
    with daemon.talk() as talk:
        early = talk.submit(f"gate:{gate} unique:400000")["job"]
        talk.event(early, "started")
        talk.ask("pin", job=early, pinned=True)
        gate.touch()
        kept = talk.end(early)
        others = [talk.run("unique:400000") for _ in range(4)]
        missing = talk.ask("blob.have", sha256=[image_of(kept), *map(image_of, others)])["sha256"]
        assert image_of(kept) not in missing
        assert missing == [image_of(other) for other in others[:3]]
        told = [talk.ask("list", job=done["job"])["jobs"][0] for done in (kept, others[0])]
        assert [(line["pictures"], line["bytes"], line["stored"]) for line in told] == [(1, 400000, True), (1, 400000, False)]
        with pytest.raises(BlobMissing):
            talk.blob(image_of(others[0]))


def test_a_drained_daemon_lets_what_runs_end_and_keeps_what_waits(make_daemon: Make, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    daemon = make_daemon({"GESSO_FAKE_SLOTS": "1"}).start()
    with daemon.talk() as talk:
        running = talk.submit(f"gate:{gate} unique:64")["job"]
        talk.event(running, "started")
        talk.ask("stop", drain=True)
        waiting = talk.submit("unique:64")["job"]
        assert talk.ask("status")["draining"] is True
        time.sleep(1)
        assert daemon.is_alive()
        gate.touch()
        assert talk.end(running)["type"] == "done"
    daemon.output()
    assert daemon.live.returncode == 0
    daemon.start()
    with daemon.talk() as talk:
        assert talk.ask("attach", job=running)["state"] == "done"
        talk.ask("attach", job=waiting)
        assert talk.end(waiting)["type"] == "done"
