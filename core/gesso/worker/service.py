"""The worker's loop: messages of the front in, engine turns, messages out. All of it runs on the main thread; the link has its own."""

from __future__ import annotations

import gc
import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gesso.device.environment import environment, settle
from gesso.device.residency import Housekeeping, ModelPool
from gesso.device.threads import pin
from gesso.engine import Ended, Engine, Hooks, JobEvent, Preview, Progress, ReplayLog, Warn
from gesso.errors import BlobMissing
from gesso.library import hashes
from gesso.link import BlackBox, WorkerLink
from gesso.link.messages import (
    Blob,
    Cancel,
    Event,
    Fetch,
    Finished,
    Go,
    Heartbeat,
    Lease,
    Message,
    Prefer,
    Reload,
    Resolved,
    Shutdown,
    Steer,
    Suspend,
    Unload,
)
from gesso.manifest import first_party
from gesso.model import Thrift
from gesso.plugin import Places, Registry, build_plugins
from gesso.worker.context import WorkerContext
from gesso.worker.lease import Leased, inputs_of, resolving, running
from gesso.worker.lifecycle import MARK, Announcer
from gesso.worker.models import WorkerCatalogue
from gesso.worker.previews import Previewers
from gesso.worker.reports import Reporter, draw
from gesso.worker.results import error_of, result
from gesso.worker.seeing import Seeing
from gesso.worker.strangers import Strangers

_log = logging.getLogger(__name__)
PATIENT = 60.0
"""Seconds on the thread pool after which a host function counts as a loop that stands still: its thread cannot be taken back."""
_TICK = 0.05
_IDLE_TICK = 0.25


@dataclass(frozen=True)
class Replay:
    """Where replay logs lie (None: nowhere), and after how many seconds of device time a job gets one."""

    folder: Path | None
    after: float


@dataclass(frozen=True)
class Habits:
    """The owner's wishes: seconds after which weights that nobody uses leave the device (0: never), previews of a job in a second, bytes
    that weights may take (0: as measured), and how they are held (the fields of `gesso.model.Thrift`).
    """

    idle_weights: float
    previews: float
    memory: int = 0
    thrift: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """What the command line said. ``info``: what the front was told with Ready. ``alternatives``: threads that `fast` may try."""

    device: str
    threads: int
    models: Path | None
    replay: Replay
    info: Mapping[str, Any]
    habits: Habits
    plugins: Path | None = None
    config: Path | None = None
    alternatives: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Host functions that run at once."""
        return max(2, self.threads)


@dataclass(frozen=True)
class _Wake(Message):
    """Put into the inbox by other threads so that the loop looks at what was posted."""


def serve(link: WorkerLink, box: BlackBox, setup: Setup, registry: Registry | None = None) -> None:
    """Set the device up, import the plugins (those that ship, where none are given), and serve until the front says Shutdown or is gone."""
    pin(setup.threads)
    device = torch.device(setup.device if setup.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    settle(device)
    registry = registry or build_plugins(first_party())
    for fault in registry.faults:
        _log.error("%s %s", fault.message, fault.traceback)
    pool = ThreadPoolExecutor(max_workers=setup.width + 1, thread_name_prefix="gesso-pool")  # one more, for previews
    service = Service(link, registry, device, pool, setup)
    gc.collect()
    gc.freeze()  # modules stay; without this every full collection, in the midst of some step, looks at all of torch again
    try:
        service.run(box)
    finally:
        service.close()
        pool.shutdown(wait=False, cancel_futures=True)


class Service:
    """The jobs leased to this worker, by id."""

    def __init__(self, link: WorkerLink, base: Registry, device: torch.device, pool: ThreadPoolExecutor, setup: Setup) -> None:
        self._link = link
        self._strangers = Strangers(base, setup.plugins, setup.config, setup.threads)
        self._registry = registry = self._strangers.registry()
        self._pool = pool
        self._setup = setup
        if setup.models is not None:
            hashes.shared.keep_in(setup.models.with_name(hashes.CACHE_NAME))
        self._catalogue = WorkerCatalogue(registry, setup.models)
        self._models = ModelPool(self._catalogue, device, Housekeeping(setup.habits.memory, Thrift(**setup.habits.thrift)))
        self._environment = {**environment(device), **self._models.thrift.bits}
        self._leases: dict[str, Leased] = {}
        self._previewers = Previewers(self._models)
        self._seeing = Seeing(self._catalogue, link.send)
        self._announcer = Announcer(registry, setup.plugins and setup.plugins / "kept", self._strangers.guarded)
        self._catalogue.loaded = self._announcer.loaded
        self._swept = time.monotonic()
        self._leaving = False
        self._suspended = False
        self._told: tuple[object, ...] = ()
        self._engine: Engine
        self._handlers: dict[type[Message], Callable[[Any], None]] = {
            Lease: self._on_lease,
            Go: self._on_go,
            Cancel: self._on_cancel,
            Steer: self._on_steer,
            Blob: self._on_blob,
            Reload: self._on_reload,
            Prefer: self._on_prefer,
            Suspend: self._on_suspend,
            Unload: self._on_unload,
            Shutdown: self._on_shutdown,
            _Wake: lambda _: None,
        }

    def run(self, box: BlackBox) -> None:
        """Serve until told to leave."""
        hooks = Hooks(self._on_event, partial(self._mark, box), self._report, lambda: self._link.inbox.put(_Wake()))
        setup = self._setup
        self._engine = Engine(self._models, self._pool, hooks, width=setup.width, log_after=setup.replay.after, threads=setup.alternatives)
        self._tell_info(again=True)
        for ticket, job in self._announcer.started(self._catalogue):
            self._engine.start(ticket, job)
        while not self._leaving:
            self._engine.turn()
            if self._engine.longest_host_call < PATIENT:
                self._link.turned()
            self._report()
            self._sweep()
            if not self._leases and not self._suspended and (look := self._seeing.due(self._registry, MARK)):
                self._engine.start(*look)
            self._receive()

    def _mark(self, box: BlackBox, jobs: Sequence[str]) -> None:
        """Note whose code runs next; what plugins do at the start is nobody's job."""
        box.mark([job for job in jobs if not job.startswith(MARK)])

    def close(self) -> None:
        """Close every job without a result."""
        self._engine.close()

    # ---- messages ----

    def _receive(self) -> None:
        """Take every message that is there; sleep for the first one only if there is nothing to compute."""
        wait = 0.0 if self._engine.busy else (_TICK if self._leases else _IDLE_TICK)
        try:
            message = self._link.inbox.get(timeout=wait) if wait else self._link.inbox.get_nowait()
            while True:
                handler = self._handlers.get(type(message))
                if handler is None:
                    _log.warning("the front sent %s, which a worker does not take", message.type)
                else:
                    handler(message)
                message = self._link.inbox.get_nowait()
        except queue.Empty:
            return

    def _on_lease(self, lease: Lease) -> None:
        if lease.job in self._leases:
            _log.warning("job %s was leased twice", lease.job)
            return
        leased = self._leases[lease.job] = Leased(lease, started=time.monotonic())
        job = resolving(leased, self._registry, self._catalogue, self._environment, self._models)
        self._begin(leased, job)

    def _on_go(self, go: Go) -> None:
        if leased := self._leases.get(go.job):
            leased.go = True
            self._start(leased)

    def _on_cancel(self, cancel: Cancel) -> None:
        leased = self._leases.get(cancel.job)
        if leased is None:
            return
        if leased.stage == "frozen":
            self._finish(leased, Finished(job=cancel.job, state="cancelled"))
        else:
            self._engine.cancel(cancel.job)  # the engine answers with Ended

    def _on_steer(self, steer: Steer) -> None:
        if leased := self._leases.get(steer.job):
            leased.paused, leased.priority = steer.paused, steer.priority
            self._steer(leased)

    def _steer(self, leased: Leased) -> None:
        """Tell the engine, which forgets between the two jobs that a lease is to it: the resolving and the running."""
        job = leased.lease.job
        self._engine.reprioritise(job, leased.urgency)
        (self._engine.pause if leased.paused or self._suspended else self._engine.resume)(job)

    def _on_blob(self, blob: Blob) -> None:
        for leased in [leased for leased in self._leases.values() if blob.sha256 in leased.missing]:
            if not blob.blobs:
                gone = BlobMissing("An input of the job is gone.", details={"missing": [blob.sha256]})
                self._finish(leased, Finished(job=leased.lease.job, state="failed", error=gone.to_wire()))
                continue
            leased.missing.discard(blob.sha256)
            leased.blobs[blob.sha256] = blob.blobs[0]
            self._start(leased)

    def _on_reload(self, _: Reload) -> None:
        """Jobs that run hold the registry that they began with."""
        self._registry = self._announcer.registry = self._strangers.registry()
        self._catalogue.use(self._registry)
        self._previewers.forget()
        self._tell_info(again=True)

    def _on_prefer(self, prefer: Prefer) -> None:
        self._catalogue.prefer(prefer.model)

    def _on_suspend(self, suspend: Suspend) -> None:
        """Jobs stand and weights go, or jobs go on and load again what they need."""
        self._suspended = suspend.on
        for leased in self._leases.values():
            self._steer(leased)
        self._tell_info(again=True)

    def _on_unload(self, unload: Unload) -> None:
        self._models.unload(unload.model)
        self._tell_info(again=True)

    def _on_shutdown(self, _: Shutdown) -> None:
        self._leaving = True

    # ---- stages ----

    def _on_event(self, job: str, event: JobEvent) -> None:
        if job.startswith(MARK):
            if isinstance(event, Ended) and event.error is not None:
                _log.error("%s", event.error.message)
            return
        leased = self._leases[job]
        match event:
            case Progress():
                leased.reporter.progress(event, time.monotonic())
            case Preview():
                leased.reporter.preview(event)
            case Warn(message):
                if message not in leased.warnings:
                    leased.warnings.append(message)
                    self._link.send(Event(job=job, body={"type": "log", "level": "warning", "message": message}))
            case Ended(state="done", value=value) if leased.stage == "resolving":
                self._frozen(leased, value)
            case Ended(state="done", value=value):
                self._done(leased, value, event)
            case Ended(state="cancelled"):
                self._finish(leased, Finished(job=job, state="cancelled"))
            case Ended(error=error):
                self._finish(leased, Finished(job=job, state="failed", error=error_of(error, leased.spec)))

    def _frozen(self, leased: Leased, spec: Any) -> None:
        leased.stage, leased.spec = "frozen", spec
        leased.reporter = Reporter(spec.params.get("best_of") or spec.params.get("count"), 1 / self._setup.habits.previews)
        self._link.send(Resolved(job=leased.lease.job, spec=spec.to_wire()))
        leased.missing = set(inputs_of(spec.params))
        for sha256 in leased.missing:
            self._link.send(Fetch(sha256=sha256))
        self._start(leased)

    def _start(self, leased: Leased) -> None:
        if not leased.startable or leased.spec is None:
            return
        leased.stage, leased.started = "running", time.monotonic()
        leased.warnings = list(leased.spec.warnings)
        level = leased.spec.level
        log, folder = None, self._setup.replay.folder
        places = Places(folder and folder / f"{leased.lease.job}.work", self._setup.models)
        leased.context = WorkerContext(self._registry, self._catalogue, "fast" if level == "fast" else "exact", leased.blobs, places)
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                log = ReplayLog(folder / f"{leased.lease.job}.replay")
            except OSError as fault:
                _log.warning("job %s runs without a replay log: %s", leased.lease.job, fault)
        self._begin(leased, running(leased, self._registry, leased.context), log)

    def _begin(self, leased: Leased, job: Any, log: ReplayLog | None = None) -> None:
        self._engine.start(leased.ticket(self._registry), job, log)
        self._steer(leased)

    def _done(self, leased: Leased, pictures: Any, end: Ended) -> None:
        assert leased.spec is not None
        assert leased.context is not None
        warnings = list(dict.fromkeys([*leased.warnings, *leased.context.warnings]))
        seconds = time.monotonic() - leased.started
        info = {"evaluations": end.evaluations, "device_seconds": round(end.seconds, 3)}
        told = result(pictures, leased.spec, warnings, seconds, info)
        blobs = tuple(picture.content for picture in pictures)
        self._finish(leased, Finished(job=leased.lease.job, state="done", result=told, blobs=blobs))
        self._seeing.remember(leased.lease.job, leased.spec.operation, pictures)

    def _finish(self, leased: Leased, end: Finished) -> None:
        self._report_progress(end.job, leased, last=True)
        del self._leases[end.job]
        self._link.send(end)

    # ---- reports ----

    def _report(self) -> None:
        now = time.monotonic()
        for job, leased in self._leases.items():
            self._report_progress(job, leased)
            shown = leased.reporter.due_preview(now)
            if shown is not None:
                self._draw(job, leased, shown)
        self._tell_info()

    def _report_progress(self, job: str, leased: Leased, *, last: bool = False) -> None:
        body = leased.reporter.due_progress(time.monotonic(), last=last)
        if body is not None:
            self._link.send(Event(job=job, body=body))

    def _draw(self, job: str, leased: Leased, shown: Preview) -> None:
        how = self._previewers.drawer(self._registry, shown.model)
        if how is not None:
            drawn = self._pool.submit(draw, shown.latent, how)
            drawn.add_done_callback(partial(self._drawn, job, leased, shown.image))

    def _drawn(self, job: str, leased: Leased, image: int, drawn: Future[tuple[bytes, int, int]]) -> None:
        """Send it at once, from the thread that drew it: the loop may be within a forward. The front drops what comes after the end."""
        leased.reporter.drawing = False
        if self._leases.get(job) is not leased or drawn.cancelled():
            return
        if fault := drawn.exception():
            _log.error("a preview could not be drawn", exc_info=fault)
            return
        picture, width, height = drawn.result()
        body = {"type": "preview", "image": image, "width": width, "height": height, "media_type": "image/jpeg"}
        self._link.send(Event(job=job, body=body, blobs=(picture,)))

    def _tell_info(self, *, again: bool = False) -> None:
        if self._suspended and self._models.resident:
            self._models.make_room()
        resident = tuple(self._models.resident)
        free = self._suspended and not resident
        if not again and (resident, free) == self._told:
            return
        self._told = resident, free
        faults = [*(fault.message for fault in self._registry.faults), *self._strangers.notices]
        known = {"device": self._environment["device"], "environment": self._environment}
        held = {"resident": list(resident), "weights": self._models.resident, "suspended": free}
        info = {**self._setup.info, **known, **held, "plugin_faults": faults}
        self._link.send(Heartbeat(stalled=0.0, info=info))

    def _sweep(self) -> None:
        now, patience = time.monotonic(), self._setup.habits.idle_weights
        if patience and now - self._swept > patience / 10:
            self._swept = now
            self._models.drop_idle(patience)
