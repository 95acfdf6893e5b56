"""Keeps one worker process alive: starts it, watches it in three ways (its exit, its heartbeats, its engine's loop),
restarts it with back-off. What becomes of the jobs that it held is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gesso.daemon.executor import Credentials, Executor, Handle
from gesso.daemon.jobs import LiveJob
from gesso.daemon.output import WorkerOutput
from gesso.link import BlackBox
from gesso.link.exits import describe_exit
from gesso.link.front_link import FrontLink
from gesso.link.messages import Heartbeat, Prefer, Ready, Reload, Shutdown

_log = logging.getLogger(__name__)
_BACK_OFF = (0.0, 0.5, 2.0)
"""Seconds before a start, by the lives before it that did nothing. A worker that a job killed comes back at once."""


DISMISSED = "was not needed"


@dataclass(frozen=True)
class Patience:
    """Seconds after which a worker counts as lost: without becoming ready, without a heartbeat, with an engine that does not turn."""

    start: float
    silence: float
    hang: float


@dataclass
class Worker:
    """One life of a worker process."""

    name: str
    black_box: Path
    handle: Handle | None = None
    ready: bool = False
    slots: int = 0
    info: Mapping[str, Any] = field(default_factory=dict)
    leases: dict[str, LiveJob] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    stalled: float = 0.0
    verdict: str | None = None
    useful: bool = False

    @property
    def resident(self) -> tuple[str, ...]:
        """The models whose weights it holds."""
        names = self.info.get("resident")
        return tuple(str(name) for name in names) if isinstance(names, list) else ()


@dataclass(frozen=True)
class Loss:
    """A worker that is gone: why, and which jobs its black box names. ``hopeless``: the sentence to users, if starting it is given up."""

    worker: Worker
    reason: str
    suspects: tuple[str, ...]
    hopeless: str | None = None


class Supervisor:
    """``lost`` is told of every life's end. While ``barred``, no worker is started."""

    def __init__(
        self, executor: Executor, link: FrontLink, runtime: Path, output: WorkerOutput, device: str, patience: Patience
    ) -> None:  # fmt: skip
        self.worker: Worker | None = None
        self.restarts = 0
        self.wanted = False
        self.barred = False
        self.lost: Callable[[Loss], None] = lambda _: None
        self.device = device
        self._executor = executor
        self._link = link
        self._runtime = runtime
        self._output = output
        self._patience = patience
        self._idle_lives = 0
        self._preferred = ""
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._loop = asyncio.get_running_loop()

    def ensure(self) -> None:
        """Have a worker: now, or when the back-off is over."""
        self.wanted = True
        if self.worker is None and self._timer is None and not self._closing and not self.barred:
            self._timer = self._loop.call_later(_BACK_OFF[self._idle_lives], self._start)

    def on_ready(self, worker: Worker, message: Ready) -> None:
        """The worker says what it is."""
        worker.ready, worker.slots, worker.info = True, max(1, message.slots), message.info
        if self._preferred:
            self._link.send(worker.name, Prefer(self._preferred))
        _log.info("a worker is ready", extra={"worker": worker.name, "seconds": round(time.monotonic() - worker.started, 3)})

    def on_heartbeat(self, worker: Worker, message: Heartbeat) -> None:
        """The worker says how it is."""
        worker.stalled = message.stalled
        if message.info is not None:
            worker.info = message.info

    def reload(self) -> None:
        """The owner changed something about plugins: a worker that is there imports them again, the next one finds them so."""
        if self.worker is not None:
            self._link.send(self.worker.name, Reload())

    def prefer(self, model: str) -> None:
        """The model that the owner wants where several can do a job; told to the worker that is there and to every later one."""
        if model != self._preferred:
            self._preferred = model
            if self.worker is not None:
                self._link.send(self.worker.name, Prefer(model))

    def check(self) -> None:
        """Called about twice a second: kill a worker that has lost its patience."""
        worker, now = self.worker, time.monotonic()
        if worker is None or worker.handle is None:
            return
        if not worker.ready and now - worker.started > self._patience.start:
            self.condemn(worker, f"did not become ready in {self._patience.start:g} seconds")
        elif worker.ready and now - worker.heard > self._patience.silence:
            self.condemn(worker, f"was silent for {self._patience.silence:g} seconds")
        elif worker.ready and worker.leases and worker.stalled > self._patience.hang:
            self.condemn(worker, f"hung for {self._patience.hang:g} seconds")

    def condemn(self, worker: Worker, verdict: str) -> None:
        """End a worker; its exit is then reported with this reason."""
        if worker.verdict is None and worker.handle is not None:
            worker.verdict = verdict
            worker.handle.kill()

    async def dismiss(self, grace: float) -> None:
        """End a worker that has no job, and start none until one is wanted again."""
        worker = self.worker
        self.wanted = False
        if worker is not None and worker.handle is not None:
            worker.verdict = DISMISSED
            self._link.send(worker.name, Shutdown())
            deadline = time.monotonic() + (grace if worker.ready else 0.0)
            while self.worker is worker and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            worker.handle.kill()
            while self.worker is worker:
                await asyncio.sleep(0.02)

    async def close(self, grace: float) -> None:
        """Ask it to leave, wait, then end it."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        worker = self.worker
        if worker is None or worker.handle is None:
            return
        self._link.send(worker.name, Shutdown())
        deadline = time.monotonic() + (grace if worker.ready else 0.0)
        while self.worker is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self.condemn(worker, "was stopped")
        while self.worker is not None and time.monotonic() < deadline + 2.0:
            await asyncio.sleep(0.02)

    def status(self) -> list[dict[str, Any]]:
        """For `state`."""
        worker = self.worker
        if worker is None:
            return []
        return [
            {
                "name": worker.name,
                "pid": worker.handle.pid if worker.handle else None,
                "state": "ready" if worker.ready else "starting",
                "slots": worker.slots,
                "jobs": list(worker.leases),
                "uptime": round(time.monotonic() - worker.started, 3),
                "restarts": self.restarts,
                "info": dict(worker.info),
            }
        ]

    def _start(self) -> None:
        self._timer = None
        name = f"worker-{secrets.token_hex(4)}"
        worker = Worker(name, self._runtime / f"{name}.box")
        credentials = Credentials(self._link.endpoint, self._link.admit(name), worker.black_box)
        self.worker = worker
        try:
            worker.handle = self._executor.start(self.device, credentials, lambda status: self._exited(worker, describe_exit(status)))
        except OSError as fault:
            self._exited(worker, f"could not be started: {fault}")

    def _exited(self, worker: Worker, reason: str) -> None:
        if self.worker is not worker:
            return
        self._link.forget(worker.name)
        loss = Loss(worker, worker.verdict or reason, BlackBox.read(worker.black_box))
        worker.black_box.unlink(missing_ok=True)
        self.worker = None
        if not self._closing and worker.verdict != DISMISSED:
            loss = self._judge(loss)
        self.lost(loss)
        if self.wanted and not self._closing:
            self.ensure()

    def _judge(self, loss: Loss) -> Loss:
        """Count the crash. Several lives in a row that did nothing, with no job to blame: the worker itself is broken."""
        worker = loss.worker
        self.restarts += 1
        blameless = not worker.useful and not loss.suspects
        self._idle_lives = self._idle_lives + 1 if blameless else 0
        _log.error("a worker was lost", extra={"worker": worker.name, "reason": loss.reason, "suspects": list(loss.suspects)})
        if self._idle_lives < len(_BACK_OFF):
            return loss
        words = self._output.last_words()
        self.wanted = False
        self._idle_lives = 0
        failure = "starts, but does no work" if worker.ready else "cannot start"
        sentence = f"The worker {failure}: it {loss.reason}{f' ({words})' if words else ''}. Its log is {self._output.path}."
        return replace(loss, hopeless=sentence)
