"""The real client and the real front, over both transports, through a kill of the front and of the worker in the middle of a job."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gesso.client import Client, Started
from gesso.errors import InvalidRequest

from .conftest import Make

TRANSPORTS = ("ipc", "tcp")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_picture_goes_there_and_back(make_daemon: Make, transport: str) -> None:
    daemon = make_daemon(tcp=transport == "tcp").start()
    data = os.urandom(5_000_000)
    with Client(start=False, home=daemon.root, transport=transport) as client:
        assert client.welcome["principal"] == "owner"
        result = client.submit("paint", prompt="fetch", image=data).result(timeout=30)
        assert result.images[0].read() == data
        with pytest.raises(InvalidRequest, match="steps must be at least 1"):
            client.submit("paint", prompt="x", steps=0)
        kinds = {"image_encoders", "maps_networks", "style_networks", "vaes"}
        assert set(client.describe()["catalogues"]) == {"samplers", "schedules", "models", *kinds}
        assert [job["state"] for job in client.jobs()] == ["done"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_waiting_client_gets_its_result_although_the_front_was_killed(make_daemon: Make, tmp_path: Path, transport: str) -> None:
    gate = tmp_path / "gate"
    daemon = make_daemon(tcp=transport == "tcp").start()
    with Client(start=False, home=daemon.root, transport=transport) as client:
        job = client.submit("paint", prompt=f"progress:3 gate:{gate} image:64", seed=1)
        found: list[bytes] = []
        waiter = threading.Thread(target=lambda: found.append(job.result(timeout=40).images[0].read()))
        waiter.start()
        daemon.kill()
        daemon.start()
        gate.touch()
        waiter.join(45)
        assert len(found) == 1
        assert client.job(job.id)["state"] == "done"


def test_a_client_sees_a_second_attempt_after_a_worker_crash(make_daemon: Make, tmp_path: Path) -> None:
    daemon = make_daemon().start()
    with Client(start=False, home=daemon.root) as client:
        job = client.submit("paint", prompt=f"progress:2 once:{tmp_path / 'died'}:segv progress:2 image:64")
        attempts = [event.attempt for event in job if isinstance(event, Started)]
        assert attempts == [1, 2]
        assert len(job.result(timeout=20).images) == 1
