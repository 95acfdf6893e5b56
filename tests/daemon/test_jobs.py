"""The life of a job as its client sees it: accepted, queued, started, progress, one end; the same over a second connection."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gesso.errors import BlobMissing, Conflict, InvalidRequest, ProtocolError, UnknownJob, UnknownType

from .talk import Daemon, Talk


def test_a_job_runs_from_submit_to_its_picture(talk: Talk) -> None:
    accepted = talk.submit("progress:3 image:3000000", params={"seed": 7})
    job = accepted["job"]
    assert accepted["state"] in ("accepted", "leased")
    assert accepted["duplicate"] is False
    assert accepted["params"]["steps"] == 4
    kinds: list[str] = []
    numbers: list[int] = []
    while not kinds or kinds[-1] not in ("done", "failed", "cancelled"):
        event = talk.event(job)
        kinds.append(event["type"])
        numbers.append(event["seq"])
    assert kinds == ["queued", "started", "progress", "progress", "progress", "done"]
    assert numbers == sorted(set(numbers))
    image = event["result"]["images"][0]
    data = talk.blob(image["sha256"])
    assert len(data) == image["size"] == 3_000_000
    assert (Path(talk.welcome["blobs"]) / image["sha256"][:2] / image["sha256"]).read_bytes() == data


def test_the_seed_is_fixed_before_the_answer(talk: Talk) -> None:
    first = talk.submit("image:64")
    assert 0 <= first["params"]["seed"] < 2**32
    assert talk.submit("image:64")["params"]["seed"] != first["params"]["seed"]


def test_the_same_key_is_one_job_and_another_request_a_conflict(daemon: Daemon, talk: Talk) -> None:
    first = talk.submit("image:64", key="k")
    again = talk.submit("image:64", key="k")
    assert again["duplicate"] is True
    assert again["job"] == first["job"]
    assert again["params"] == first["params"]
    with pytest.raises(Conflict) as refused:
        talk.submit("image:65", key="k")
    assert refused.value.field == "key"
    with daemon.talk(name="other") as other:
        late = other.submit("image:64", key="k")
        assert late["job"] == first["job"]
        assert other.end(first["job"])["type"] == "done"


def test_a_hundred_submits_of_one_key_at_once_are_one_job(daemon: Daemon) -> None:
    def submit(_: int) -> tuple[str, bool]:
        with daemon.talk() as talk:
            found = [talk.submit("image:64", key="same", params={"seed": 1}) for _ in range(10)]
            return found[0]["job"], sum(not answer["duplicate"] for answer in found) == 1

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(submit, range(10)))
    assert len({job for job, _ in answers}) == 1
    assert sum(first for _, first in answers) == 1
    with daemon.talk() as talk:
        assert talk.ask("list")["total"] == 1


SHIPPED = "procedural, starter, dalle, unclip, vaegan"
REFUSALS: list[tuple[dict[str, object], str, str]] = [
    ({"steps": 0}, "steps", "steps must be at least 1, not 0."),
    ({"steps": "many"}, "steps", 'steps must be a whole number, not "many".'),
    ({"tile": "z"}, "tile", 'tile must be one of "none", "x", "y", "xy", not "z".'),
    ({"size": 9}, "size", "size must be a multiple of 8, not 9."),
    ({"guidance": 0}, "guidance", "guidance must be more than 0, not 0."),
    ({"sampler": "eulr"}, "sampler", "There is no sampler 'eulr'. Did you mean 'euler'? `gesso samplers` lists them."),
    ({"model": "sd15"}, "model", f"There is no model 'sd15'. Known: {SHIPPED}. `gesso models list` lists them."),
    ({"stepz": 3}, "stepz", "There is no parameter 'stepz' here. Did you mean 'steps'?"),
    ({"image": {"sha256": "no"}}, "image.sha256", 'image.sha256 must match ^[0-9a-f]{64}$, and "no" does not.'),
    ({"prompt": ""}, "prompt", "prompt must not be empty."),
]


def test_a_wrong_value_is_refused_with_its_field(talk: Talk) -> None:
    for params, field, sentence in REFUSALS:
        with pytest.raises(InvalidRequest) as refused:
            talk.submit("image:64", params=params)
        assert (refused.value.field, refused.value.message) == (field, sentence)
    assert talk.ask("list")["total"] == 0


def test_names_may_be_aliases_titles_and_labels(talk: Talk) -> None:
    for name in ("k_euler", "Euler", "dpm++  2m", "DPM++ 2M Karras", "k_euler_k"):
        assert talk.run("image:64", params={"sampler": name})["type"] == "done"


def test_a_missing_prompt_and_an_unknown_operation_are_named(talk: Talk) -> None:
    with pytest.raises(InvalidRequest, match="prompt is missing"):
        talk.ask("submit", key="a", operation="paint", params={})
    with pytest.raises(InvalidRequest, match="There is no operation 'point'"):
        talk.ask("submit", key="a", operation="point", params={"prompt": "x"})


def test_an_absent_input_is_asked_for_and_a_present_one_reaches_the_worker(talk: Talk) -> None:
    data = os.urandom(2_500_000)
    with pytest.raises(BlobMissing) as missing:
        talk.submit("fetch", params={"image": {"sha256": "ab" * 32}})
    assert missing.value.details["missing"] == ["ab" * 32]
    sha256 = talk.upload(data)
    done = talk.run("fetch", params={"image": {"sha256": sha256}})
    assert done["result"]["images"][0]["sha256"] == sha256
    assert talk.blob(sha256) == data


def test_failures_arrive_as_the_worker_told_them(talk: Talk) -> None:
    failed = talk.run("fail:out_of_memory")
    assert (failed["type"], failed["error"]["code"]) == ("failed", "out_of_memory")
    invalid = talk.run("invalid")
    assert (invalid["error"]["code"], invalid["error"]["field"]) == ("invalid", "steps")


def test_cancel_works_in_every_state_and_is_idempotent(daemon: Daemon, talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = [talk.submit(f"gate:{gate}")["job"] for _ in range(2)]
    for job in running:
        talk.event(job, "started")
    waiting = talk.submit("image:64")["job"]
    talk.event(waiting, "queued")
    for job in (waiting, running[0], running[0]):
        assert talk.ask("cancel", job=job)["type"] == "ok"
    assert talk.end(waiting)["type"] == "cancelled"
    assert talk.end(running[0])["type"] == "cancelled"
    assert talk.ask("cancel", job=waiting)["type"] == "ok"
    gate.touch()
    assert talk.end(running[1])["type"] == "done"
    talk.ask("cancel", job=running[1])
    assert talk.ask("attach", job=running[1])["state"] == "done"
    with pytest.raises(UnknownJob):
        talk.ask("cancel", job="0" * 32)


def test_attaching_from_a_number_misses_nothing_but_what_was_coalesced(daemon: Daemon, talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = talk.submit(f"log:3 progress:5 gate:{gate} log:1")["job"]
    while talk.event(job, "progress")["step"] < 5:
        pass
    with daemon.talk(name="late") as late:
        attached = late.ask("attach", job=job)
        assert attached["state"] == "running"
        assert attached["snapshot"]["progress"]["step"] == 5
        assert attached["snapshot"]["terminal"] is None
        gate.touch()
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != "done":
            seen.append(late.event(job))
        assert [event["type"] for event in seen] == ["queued", "started", "log", "log", "log", "progress", "log", "done"]
        assert [event["seq"] for event in seen] == sorted({event["seq"] for event in seen})
    with daemon.talk(name="later") as later:
        attached = later.ask("attach", job=job, from_=seen[-2]["seq"] + 1)
        assert attached["snapshot"]["terminal"]["result"] == seen[-1]["result"]
        assert later.event(job) == seen[-1]
        with pytest.raises(TimeoutError):
            later.receive(0.2)


def test_a_client_that_attaches_twice_gets_each_event_once(talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = talk.submit(f"gate:{gate} log:2")["job"]
    talk.event(job, "started")
    talk.ask("attach", job=job)
    gate.touch()
    seen = [talk.event(job)["type"] for _ in range(3)]
    assert seen == ["log", "log", "done"]


def test_detached_clients_hear_no_more(talk: Talk, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = talk.submit(f"gate:{gate} log:5")["job"]
    talk.event(job, "started")
    talk.ask("detach", job=job)
    gate.touch()
    while talk.ask("attach", job=job, from_=1 << 40)["state"] != "done":
        pass
    assert not talk.events


def test_list_and_state_tell_what_there_is(daemon: Daemon, talk: Talk) -> None:
    done = talk.submit("image:64", params={"seed": 1})["job"]
    talk.end(done)
    failed = talk.submit("fail:model")["job"]
    talk.end(failed)
    listed = talk.ask("list", states=["failed"])
    assert [line["job"] for line in listed["jobs"]] == [failed]
    assert listed["jobs"][0]["error"]["code"] == "model"
    assert talk.ask("list", limit=1)["total"] == 2
    state = talk.ask("status")
    assert state["pid"] == daemon.live.pid
    assert state["device"] == "fake"
    assert state["queue"]["done"] == 1
    assert state["metrics"]["accepted"] == 2
    assert {model["name"] for model in state["models"]} >= {"procedural"}


def test_describe_is_the_merged_schema_file(talk: Talk) -> None:
    header, payload = talk.answer(talk.post("describe"))
    assert header["size"] == len(payload)
    assert b'"paint"' in payload
    assert b'"models"' in payload


def test_requests_out_of_order_and_unknown_ones_are_refused(daemon: Daemon, talk: Talk) -> None:
    with pytest.raises(UnknownType) as unknown:
        talk.ask("frobnicate")
    assert "submit" in unknown.value.details["known"]
    with daemon.talk(hello=False) as silent, pytest.raises(ProtocolError, match="hello"):
        silent.ask("ping")


def test_a_client_that_watches_nothing_gets_no_events(talk: Talk) -> None:
    job = talk.submit("log:3", watch=False)["job"]
    while talk.ask("attach", job=job, from_=1 << 40)["state"] != "done":
        pass
    assert not talk.events
