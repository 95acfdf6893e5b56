"""`learn` in the real front with the real worker: other work comes first, and a killed worker costs a few steps."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.learning.conftest import picture

from .talk import Daemon, Talk
from .test_real_worker import CAT, serving, tiny  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.reliability, pytest.mark.timeout(3000)]
STEPS, PATIENCE = 60, 600.0


@pytest.fixture(scope="module")
def daemon(tiny: Path) -> Iterator[Daemon]:  # noqa: F811  (pytest's way to ask for it)
    with serving(tiny) as found:
        yield found


@pytest.fixture
def talk(daemon: Daemon) -> Iterator[Talk]:
    with daemon.talk() as talk:
        yield talk


def learn(talk: Talk, **params: Any) -> str:
    """Submit it, as a host would: in a hurry."""
    images = []
    for seed in range(2):
        held = io.BytesIO()
        picture(seed).save(held, "png")
        images.append({"sha256": talk.upload(held.getvalue())})
    asked = {"images": images, "prompt": "red stripes", "model": "tiny", "steps": STEPS, "batch": 1, "size": 32, "seed": 3, **params}
    key = f"{time.monotonic()}"
    return str(talk.ask("submit", key=key, operation="learn", params=asked, priority="interactive")["job"])


def work_of(daemon: Daemon, job: str) -> Path:
    return daemon.home.state / "replay" / f"{job}.work"


def reach(daemon: Daemon, talk: Talk, job: str) -> None:
    """Wait until the job has a checkpoint and went on from there."""
    began = time.monotonic()
    while not (work_of(daemon, job) / "checkpoint" / "state.json").exists():
        assert time.monotonic() - began < PATIENCE, "there is no checkpoint"
        talk.event(job, "progress", timeout=PATIENCE)


def test_a_killed_worker_costs_a_few_steps_and_changes_no_byte(daemon: Daemon, talk: Talk) -> None:
    done = talk.end(learn(talk), PATIENCE)
    assert done["type"] == "done", done
    name = done["result"]["images"][0]["measured"]["lora"]
    path = daemon.home.models / "learned" / f"{name}.safetensors"
    unbroken, written = path.read_bytes(), path.stat().st_mtime_ns
    job = learn(talk)
    reach(daemon, talk, job)
    os.kill(talk.ask("status")["workers"][0]["pid"], signal.SIGKILL)
    while (event := talk.event(job, "started", timeout=PATIENCE))["attempt"] < 2:
        pass
    first = talk.event(job, "progress", timeout=PATIENCE)
    assert first["step"] > 20, "it began anew"
    assert talk.end(job, PATIENCE)["type"] == "done"
    assert event["attempt"] == 2
    assert path.read_bytes() == unbroken
    assert path.stat().st_mtime_ns > written
    assert not work_of(daemon, job).exists()
    lora = talk.ask("submit", key=f"{time.monotonic()}", operation="generate", params={**CAT, "lora": {name: 1.0}})["job"]
    assert talk.end(str(lora), PATIENCE)["type"] == "done"


def test_other_work_is_done_meanwhile_and_a_cancelled_job_leaves_nothing(daemon: Daemon, talk: Talk) -> None:
    long, second = learn(talk, steps=100_000), learn(talk, steps=100_000, seed=4)
    reach(daemon, talk, long)
    assert talk.ask("list", job=long)["jobs"][0]["priority"] == "batch"
    cat = talk.ask("submit", key=f"{time.monotonic()}", operation="generate", params={**CAT, "seed": 77}, priority="interactive")["job"]
    assert talk.end(str(cat), PATIENCE)["type"] == "done"
    states = {each: talk.ask("list", job=each)["jobs"][0]["state"] for each in (long, second)}
    assert states == {long: "running", second: "accepted"}
    for job in (second, long):
        talk.ask("cancel", job=job)
        assert talk.end(job, PATIENCE)["type"] == "cancelled"
    assert not work_of(daemon, long).exists()
