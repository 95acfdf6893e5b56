"""Daemons for tests: started on a state directory of the test's own, ended whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .talk import Daemon, Talk

Make = Callable[..., Daemon]


@pytest.fixture
def make_daemon(home: Path) -> Iterator[Make]:
    """Makes fronts that are not started yet; all share the test's state directory."""
    made: list[Daemon] = []

    def make(environment: dict[str, str] | None = None, *, root: Path = home, **plan: Any) -> Daemon:
        made.append(Daemon(root, environment, **plan))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.process is not None:
            if daemon.process.poll() is None:
                daemon.process.kill()
            daemon.process.wait()
            if daemon.process.stdout is not None:
                daemon.process.stdout.close()


@pytest.fixture
def daemon(make_daemon: Make) -> Daemon:
    """A running front."""
    return make_daemon().start()


@pytest.fixture
def talk(daemon: Daemon) -> Iterator[Talk]:
    """A connection to it."""
    with daemon.talk() as talk:
        yield talk
