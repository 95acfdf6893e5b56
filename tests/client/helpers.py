"""Waiting in tests, always with an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gesso.client import Event, Job


def collect(job: Job, into: list[Event]) -> threading.Thread:
    """Iterate a job on a thread of its own."""
    thread = threading.Thread(target=lambda: into.extend(job))
    thread.start()
    return thread


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
