"""The fixtures for authors of plugins. pytest finds them wherever Gesso is installed (``-p no:gesso.testing.fixtures`` leaves them out);
nothing of Gesso but this file is imported before a test asks for one.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gesso.client import Client
    from gesso.testing import Studio, Wavy


@pytest.fixture
def fake_denoiser() -> Callable[..., Wavy]:
    """``fake_denoiser()`` answers a sampler with a smooth known function; give it a `Parametrisation` for another kind of model."""
    from gesso.testing import Wavy, epsilon_model

    def make(model: Any = None) -> Wavy:
        return Wavy(epsilon_model() if model is None else model)

    return make


@pytest.fixture
def studio() -> Iterator[Studio]:
    """The plugins that ship with Gesso in the real engine, in this process; ``studio.plugin(manifest)`` takes yours in."""
    from gesso.testing import Studio

    made = Studio()
    yield made
    made.close()


@pytest.fixture
def in_process_daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """``in_process_daemon(manifest, ...)``: a client of a daemon in this process, with the plugins that these `plugin_manifest.toml`
    declare and an empty state directory, named by GESSO_HOME; it ends with the test.
    """
    from gesso.testing import InProcessDaemon

    with contextlib.ExitStack() as running:

        def make(*manifests: Path) -> Client:
            home = Path(tempfile.mkdtemp(prefix="gesso-"))
            running.callback(shutil.rmtree, home, ignore_errors=True)
            monkeypatch.setenv("GESSO_HOME", str(home))
            daemon = InProcessDaemon(home, manifests)
            running.callback(daemon.close)
            return daemon.client

        yield make


@pytest.fixture
def gesso_daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of a real daemon in processes of its own, with an empty state directory, named by GESSO_HOME; it ends with the test."""
    from gesso.client import start_daemon

    home = Path(tempfile.mkdtemp(prefix="gesso-"))
    monkeypatch.setenv("GESSO_HOME", str(home))
    client = start_daemon(home, name="pytest")
    try:
        yield client
    finally:
        client.stop()
        client.close()
        shutil.rmtree(home, ignore_errors=True)
