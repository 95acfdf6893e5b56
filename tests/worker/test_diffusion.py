"""A real worker with a tiny Stable Diffusion directory: sampling, previews, levels, inputs, cancelling, a kill in mid-picture."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.plugins.conftest import build_pipeline
from tests.worker.front import Front

from gesso.link.messages import Blob, Cancel, Event, Fetch
from gesso.recipe import read_recipe

CAT = {"prompt": "a red cat", "model": "tiny", "seed": 5, "width": 32, "height": 32, "steps": 6, "sampler": "euler", "guidance": 4.0}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The owner's list with one model."""
    folder = tmp_path_factory.mktemp("models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = build_pipeline(folder)
    listed = folder / "models.json"
    capabilities = ["encode_text", "denoise", "decode", "encode_image"]
    entry = {"name": "tiny", "family": "stable-diffusion", "path": str(path), "capabilities": capabilities, "limits": {"smallest": 16}}
    listed.write_text(json.dumps([entry]))
    return listed


@pytest.fixture(scope="module")
def front(models: Path) -> Iterator[Front]:
    folder = Path(tempfile.mkdtemp(prefix="gesso-w-", dir="/tmp"))
    with Front(folder, "--models", str(models)) as front:
        front.ready()
        yield front
    shutil.rmtree(folder)


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_a_picture_its_recipe_and_the_same_bytes_again(front: Front) -> None:
    job = front.lease("generate", {**CAT, "count": 2})
    spec = front.go(job)
    assert spec["params"]["schedule"]
    end = front.end(job)
    assert end.result is not None
    assert end.result["info"]["evaluations"] == 12
    assert end.result["model"]["name"] == "tiny"
    for content, seed in zip(end.blobs, (5, 6), strict=True):
        assert picture(content).size == (32, 32)
        recipe = read_recipe(content)
        assert recipe is not None
        assert recipe.params["seed"] == seed
        assert front.run("generate", recipe.params).blobs == (content,)


def test_progress_and_previews_are_told(front: Front) -> None:
    job = front.lease("generate", {**CAT, "steps": 40, "count": 2})
    front.go(job)
    end = front.end(job)
    assert end.state == "done"
    fractions = [event.body["fraction"] for event in front.events(job, "progress")]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    last = front.events(job, "progress")[-1].body
    assert (last["images"], last["image"], last["step"], last["total"]) == (2, 1, 40, 40)
    shown = front.events(job, "preview")
    assert shown
    assert picture(shown[-1].blobs[0]).size == (shown[-1].body["width"], shown[-1].body["height"])


def test_alone_equals_crowd_across_the_link(front: Front) -> None:
    alone = front.run("generate", CAT)
    jobs = [
        front.lease("generate", {**CAT, "seed": 50 + i, "sampler": "dpmpp_2m"}, client=str(i), priority="interactive") for i in range(3)
    ]
    jobs.append(front.lease("generate", CAT))
    for job in jobs:
        front.go(job)
    assert [front.end(job) for job in jobs][-1].blobs == alone.blobs


def test_fast_says_so_and_is_near(front: Front) -> None:
    exact = front.run("generate", CAT)
    jobs = [front.lease("generate", {**CAT, "seed": 5 + i}, level="fast") for i in range(4)]
    for job in jobs:
        front.go(job)
    ends = [front.end(job) for job in jobs]
    assert all(end.result is not None and end.result["level"] == "fast" for end in ends)
    pairs = zip(picture(ends[0].blobs[0]).tobytes(), picture(exact.blobs[0]).tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 2


def test_an_input_is_fetched_and_used(front: Front) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 40, 40)).save(buffer, "PNG")
    content = buffer.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    params = {**CAT, "image": {"sha256": sha256}, "strength": 0.5}
    job = front.lease("generate", params)
    assert front.take(Fetch).sha256 == sha256
    front.go(job)
    front.send(Blob(sha256=sha256, blobs=(content,)))
    assert front.end(job).state == "done"


def test_a_missing_input_fails_the_job(front: Front) -> None:
    sha256 = "ab" * 32
    job = front.lease("generate", {**CAT, "image": {"sha256": sha256}})
    assert front.take(Fetch).sha256 == sha256
    front.send(Blob(sha256=sha256))
    end = front.end(job)
    assert end.state == "failed"
    assert end.error is not None
    assert end.error["code"] == "blob_missing"
    assert end.error["details"] == {"missing": [sha256]}


def test_cancelling_in_mid_picture_leaves_no_trace(front: Front) -> None:
    alone = front.run("generate", CAT)
    job = front.lease("generate", {**CAT, "steps": 500, "count": 20})
    front.go(job)
    front.take(Event, lambda event: event.job == job)
    began = time.monotonic()
    front.send(Cancel(job=job))
    assert front.end(job).state == "cancelled"
    assert time.monotonic() - began < 10
    assert front.run("generate", CAT).blobs == alone.blobs


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_worker_goes_on_from_its_log(front: Front, models: Path) -> None:
    params = {**CAT, "steps": 60}
    undisturbed = front.run("generate", params).blobs
    folder = Path(tempfile.mkdtemp(prefix="gesso-w-", dir="/tmp"))
    options = ("--models", str(models), "--replay", str(folder / "replay"), "--log-after", "0")
    try:
        with Front(folder, *options) as first:
            first.ready()
            job = first.lease("generate", params)
            spec = first.go(job)
            first.take(Event, lambda event: event.body["type"] == "progress" and event.body["step"] >= 8)
            first.process.kill()
            first.process.wait()
            assert set(first.marked()) <= {job}
        (log,) = (folder / "replay").iterdir()
        assert log.stat().st_size > 1000
        with Front(folder, *options) as second:
            second.ready()
            second.release(job, spec)
            second.go(job)
            end = second.end(job)
            assert end.blobs == undisturbed
            assert list((folder / "replay").iterdir()) == []
    finally:
        shutil.rmtree(folder)
