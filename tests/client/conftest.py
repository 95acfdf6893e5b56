"""A fake front for the tests of the client, and short patience."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso.client import Client
from gesso.wire.home import Home

from .fake_front import FakeFront


@pytest.fixture
def front(home: Path) -> Iterator[FakeFront]:
    front = FakeFront(Home.find(home))
    yield front
    front.close()


@pytest.fixture
def client(front: FakeFront) -> Iterator[Client]:
    with Client(start=False) as client:
        yield client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resend and give up soon."""
    monkeypatch.setattr("gesso.client.session.RESEND_SECONDS", 0.1)
    monkeypatch.setattr("gesso.client.link._TICK_SECONDS", 0.05)
    monkeypatch.setattr("gesso.client.link.PATIENCE_SECONDS", 0.6)


@pytest.fixture(params=["own", "pyzmq"])
def both_wires(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested holds for our own DEALER and for libzmq's."""
    monkeypatch.setenv("GESSO_WIRE", request.param)
