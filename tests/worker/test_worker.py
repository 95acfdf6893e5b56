"""A real worker process, driven over the real link: procedural jobs (no weights) from lease to result."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.worker.front import Front

from gesso.errors import by_code
from gesso.link.messages import Blob, Cancel, Fetch, Go, Heartbeat, Resolved, Seen, Steer
from gesso.recipe import read_recipe

STONE = {"prompt": "mossy grey cobblestone", "model": "procedural", "seed": 7, "width": 64, "height": 64, "tile": "xy"}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    folder = Path(tempfile.mkdtemp(prefix="gesso-w-", dir="/tmp"))
    with Front(folder) as front:
        ready = front.ready()
        assert ready.slots >= 1
        assert ready.pid == front.process.pid
        yield front
    shutil.rmtree(folder)


def test_the_info_names_environment_and_residents(front: Front) -> None:
    info = front.take(Heartbeat, lambda beat: beat.info is not None).info
    assert info is not None
    assert info["environment"]["device"] == "cpu"
    assert isinstance(info["plugin_faults"], list)
    assert info["resident"] == []


def test_a_job_from_lease_to_picture(front: Front) -> None:
    job = front.lease("generate", {**STONE, "count": 2})
    spec = front.go(job)
    assert spec["operation"] == "generate"
    assert spec["level"] == "exact"
    assert list(spec["models"]) == ["procedural"]
    end = front.end(job)
    assert end.state == "done"
    assert end.result is not None
    assert [image["seed"] for image in end.result["images"]] == [7, 8]
    assert end.result["environment"] == spec["environment"]
    for image, content in zip(end.result["images"], end.blobs, strict=True):
        assert image["sha256"] == hashlib.sha256(content).hexdigest()
        assert (image["width"], image["height"], image["channels"], image["dtype"]) == (64, 64, 3, "uint8")
        recipe = read_recipe(content)
        assert recipe is not None
        again = front.run(recipe.operation, recipe.params)
        assert again.blobs == (content,)


def test_what_was_made_is_looked_at_when_nobody_waits(front: Front) -> None:
    jobs = [front.lease("generate", {**STONE, "seed": seed, "count": count}) for seed, count in ((3, 1), (5, 2))]
    ends = []
    for job in jobs:
        front.go(job)
        ends.append(front.end(job))
    seen = [front.take(Seen, lambda message, job=job: message.job == job) for job in jobs]  # type: ignore[misc]
    made = {hashlib.sha256(content).hexdigest(): content for end in ends for content in end.blobs}
    asked = front.lease("embed", {"images": [{"sha256": sha256} for sha256 in made]}, output="raw")
    front.go(asked)
    for _ in made:
        sha256 = front.take(Fetch).sha256
        front.send(Blob(sha256, blobs=(made[sha256],)))
    plane = front.end(asked)
    rows = np.frombuffer(plane.blobs[0], np.float32).reshape(3, -1)
    found = [np.frombuffer(each.blobs[0], "<f2").reshape(-1, rows.shape[1]) for each in seen]
    assert [len(each) for each in found] == [1, 2]
    assert plane.result is not None
    assert np.allclose(np.concatenate(found), rows, atol=1e-3)
    assert {each.model for each in seen} == {plane.result["model"]["digest"]}


def test_a_frozen_job_is_not_resolved_again(front: Front) -> None:
    first = front.lease("generate", STONE)
    spec = front.go(first)
    done = front.end(first)
    second = front.lease("generate", {"prompt": "not looked at"}, spec=spec, attempt=2)
    assert front.go(second) == spec
    assert front.end(second).blobs == done.blobs


def test_raw_planes(front: Front) -> None:
    end = front.run("generate", STONE, output="raw")
    assert end.result is not None
    assert end.result["images"][0]["media_type"] == "application/x-gesso-plane"
    assert len(end.blobs[0]) == 64 * 64 * 3


@pytest.mark.parametrize(
    ("operation", "params", "code", "field"),
    [
        ("no such thing", {}, "invalid", "operation"),
        ("generate", {**STONE, "width": "wide"}, "invalid", "width"),
        ("generate", {**STONE, "model": "procedura"}, "invalid", "model"),
        ("generate", {**STONE, "unknown": 1}, "invalid", "unknown"),
        ("generate", {**STONE, "strength": 0.5}, "invalid", "strength"),
    ],
)
def test_bad_requests_end_with_code_and_field(front: Front, operation: str, params: dict[str, object], code: str, field: str) -> None:
    end = front.end(front.lease(operation, params))
    assert end.state == "failed"
    assert end.error is not None
    assert end.error["code"] == code
    assert end.error["code"] in by_code()
    assert end.error["field"] == field


def test_a_job_cancelled_before_go_never_runs(front: Front) -> None:
    job = front.lease("generate", STONE)
    front.take(Resolved, lambda message: message.job == job)
    front.send(Cancel(job=job))
    assert front.end(job).state == "cancelled"
    front.send(Cancel(job=job))
    front.send(Go(job=job))
    assert front.run("generate", STONE).state == "done"


def test_cancelling_a_running_job_leaves_no_trace(front: Front) -> None:
    alone = front.run("generate", STONE)
    job = front.lease("generate", {**STONE, "width": 512, "height": 512, "count": 100})
    front.go(job)
    front.send(Cancel(job=job))
    assert front.end(job).state == "cancelled"
    assert front.run("generate", STONE).blobs == alone.blobs


def test_a_job_paused_in_any_state_goes_on_to_the_same_bytes(front: Front) -> None:
    asked = {**STONE, "count": 24}
    undisturbed = front.run("generate", asked)

    def stands() -> bool:
        """Whether twice as much work is done meanwhile and the job has not ended."""
        assert front.run("generate", {**STONE, "count": 48}).state == "done"
        return not front.ended(job)

    job = front.lease("generate", asked)
    for _ in range(2):  # while it is resolved
        front.send(Steer(job=job, paused=True, priority="interactive"))
    front.send(Steer(job="nobody", paused=True, priority="batch"))
    assert stands()
    front.send(Steer(job=job, paused=False, priority="interactive"))
    front.take(Resolved, lambda message: message.job == job)
    front.send(Steer(job=job, paused=True, priority="batch"))  # frozen: Go starts it, and it stands
    front.send(Go(job=job))
    assert stands()
    front.send(Steer(job=job, paused=False, priority="batch"), Steer(job=job, paused=True, priority="batch"))  # at work on its pictures
    assert stands()
    front.send(Steer(job=job, paused=False, priority="batch"))
    end = front.end(job)
    assert end.blobs == undisturbed.blobs
    front.send(Steer(job=job, paused=True, priority="batch"))
    assert front.run("generate", asked).blobs == undisturbed.blobs


def test_the_front_hanging_up_ends_the_worker() -> None:
    folder = Path(tempfile.mkdtemp(prefix="gesso-w-", dir="/tmp"))
    try:
        with Front(folder) as front:
            front.ready()
            assert front.run("generate", STONE).state == "done"
            front.hang_up()
            assert front.process.wait(30) == 0
    finally:
        shutil.rmtree(folder)


def test_shutdown_ends_the_worker_and_clears_the_black_box() -> None:
    folder = Path(tempfile.mkdtemp(prefix="gesso-w-", dir="/tmp"))
    try:
        with Front(folder) as front:
            front.ready()
            job = front.lease("generate", {**STONE, "width": 1024, "height": 1024, "count": 50})
            front.go(job)
            assert front.stop() == 0
            assert front.marked() == ()
    finally:
        shutil.rmtree(folder)
