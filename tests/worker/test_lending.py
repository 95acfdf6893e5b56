"""The device is given to another program and taken back; jobs lose nothing by it. A real daemon, a real worker, the starter's weights."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import start_daemon, stop_daemon

from gesso.cli import main
from gesso.client import Client
from gesso.client.events import Log
from gesso.errors import InvalidRequest, OutOfMemory

pytestmark = pytest.mark.slow

STARTER: dict[str, Any] = {"prompt": "grey stone", "model": "starter", "seed": 1, "width": 64, "height": 64, "sampler": "euler"}


def until(met: Callable[[], object], patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def worker_of(client: Client) -> dict[str, Any]:
    workers = client.status()["workers"]
    return dict(workers[0]) if workers else {}


def test_a_running_job_stands_and_goes_on_with_the_same_bytes(home: Path, daemon: subprocess.Popen[str]) -> None:
    with Client(start=False) as client:
        plain = client.submit("generate", **STARTER, steps=60).result().images[0].sha256
        job = client.submit("generate", **STARTER, steps=60)
        steps: list[int] = []
        for event in job:
            steps += [event.step] if getattr(event, "step", None) else []
            if steps and steps[-1] < 50:
                break
        client.suspend()
        client.suspend()  # as good as once
        assert client.status()["suspended"]
        assert worker_of(client)["info"]["resident"] == []
        waiting = client.submit("generate", **{**STARTER, "seed": 2}, steps=2)
        time.sleep(1.0)
        assert client.job(job.id)["state"] == "running"
        assert client.job(waiting.id)["state"] == "accepted"
        client.resume()
        assert job.result().images[0].sha256 == plain
        assert waiting.result().images
        assert not client.status()["suspended"]


def test_an_idle_worker_leaves_the_device_whole(home: Path, daemon: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]) -> None:
    with Client(start=False) as client:
        client.submit("generate", **STARTER, steps=1).result()
        pid = worker_of(client)["pid"]
        client.suspend()
        assert worker_of(client) == {}
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        job = client.submit("generate", **STARTER, steps=1)
        said = next(event for event in job if isinstance(event, Log))
        assert "gesso resume" in said.message
        assert main(["status"]) == 0
        assert "gesso resume" in capsys.readouterr().out
        time.sleep(1.0)
        assert worker_of(client) == {}
        client.resume()
        assert job.result().images
        assert client.status()["metrics"]["worker_restarts"] == 0


def test_weights_leave_when_asked(home: Path, daemon: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]) -> None:
    with Client(start=False) as client:
        client.submit("generate", **STARTER, steps=1).result()
        until(lambda: worker_of(client)["info"]["resident"] == ["starter"])
        with pytest.raises(InvalidRequest, match="starter"):
            client.unload("startr")
        assert main(["models", "unload", "starter", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"unloaded": "starter"}
        assert worker_of(client)["info"]["resident"] == []
        assert client.submit("generate", **STARTER, steps=1).result().images
        client.unload()
        assert worker_of(client)["info"]["resident"] == []


def test_a_model_that_cannot_fit_is_refused_before_the_start(home: Path) -> None:
    running = start_daemon(home, "--set", "worker.memory=8MiB")
    try:
        with Client(start=False) as client:
            job = client.submit("generate", **STARTER, steps=1)
            with pytest.raises(OutOfMemory, match="'starter' needs") as refused:
                job.result()
            assert refused.value.details["fits"] == ["procedural", "dalle", "unclip", "vaegan"]
            assert "procedural" in str(refused.value.hint)
            assert "worker.memory" in str(refused.value.hint)
    finally:
        stop_daemon(running)
