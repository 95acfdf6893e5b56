"""What a front may be told when it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gesso.config import Value
from gesso.daemon.executor import COMMAND, Executor, LocalExecutor
from gesso.daemon.output import WorkerOutput
from gesso.wire.home import Home


@dataclass(frozen=True)
class ServeOptions:
    """``home`` None: the user's own. ``prewarm``: start the worker at once, not with the first job. ``on_demand``: a client started it,
    so it leaves when nobody needs it. ``flags``: settings that go over environment and file. ``schema_files`` None: the first-party
    operations. ``on_ready`` is called once clients can connect. ``executor`` makes the place where workers run, of their command line and
    of where their output goes.
    """

    home: Home | None = None
    tcp: bool = False
    prewarm: bool = True
    on_demand: bool = False
    flags: Mapping[str, Value] = field(default_factory=dict)
    worker_command: tuple[str, ...] = COMMAND
    schema_files: tuple[Path, ...] | None = None
    on_ready: Callable[[], None] | None = None
    executor: Callable[[Sequence[str], WorkerOutput], Executor] = LocalExecutor
