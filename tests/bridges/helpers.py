"""Polling a session as a host's timer does, always with an end."""

from __future__ import annotations

import time
from collections.abc import Callable

from gesso_bridges.panel.session import Session


def until(session: Session, condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        session.poll()
        assert time.monotonic() < deadline, f"it did not happen; the state is {session.state}, tasks {list(session.tasks.values())}"
        time.sleep(0.01)
