"""What a front may be told when it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gesso.daemon.executor import COMMAND
from gesso.daemon.workers import Patience
from gesso.wire.home import Home

STORAGE_LIMIT = 20 << 30


@dataclass(frozen=True)
class ServeOptions:
    """``home`` None: the user's own. ``prewarm``: start the worker at once, not with the first job. ``idle_exit``: seconds
    without a client's request or a job after which the front leaves, None never. ``storage_limit`` in bytes.
    ``schema_files`` None: the first-party operations. ``on_ready`` is called once clients can connect.
    """

    home: Home | None = None
    tcp: bool = False
    prewarm: bool = True
    device: str = "auto"
    storage_limit: int = STORAGE_LIMIT
    idle_exit: float | None = None
    worker_command: tuple[str, ...] = COMMAND
    patience: Patience = field(default_factory=Patience)
    schema_files: tuple[Path, ...] | None = None
    on_ready: Callable[[], None] | None = None
