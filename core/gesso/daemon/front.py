"""The front: puts journal, store, sockets, queue and worker together in the order that keeps every promise, and takes
them apart again. It does no maths and decodes no image.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from gesso import manifest
from gesso.config import Settings
from gesso.daemon import files, memory, rows, sockets, steps
from gesso.daemon import states as states_of_jobs
from gesso.daemon.blobs import BlobStore
from gesso.daemon.dispatcher import Dispatcher
from gesso.daemon.endings import Endings
from gesso.daemon.journal import Journal
from gesso.daemon.lending import Lending
from gesso.daemon.live import LiveSettings
from gesso.daemon.memory import Guard
from gesso.daemon.metrics import Metrics
from gesso.daemon.options import ServeOptions
from gesso.daemon.output import WorkerOutput
from gesso.daemon.peers import Peer, Peers
from gesso.daemon.requests import Identity, Parts, Requests
from gesso.daemon.retention import Retention
from gesso.daemon.schemas import Schemas
from gesso.daemon.uploads import Uploads
from gesso.daemon.workers import Patience, Supervisor
from gesso.errors import GessoError
from gesso.link import BlackBox
from gesso.link.front_link import FrontLink
from gesso.link.zap import ZapHandler
from gesso.wire import auth, discovery, keys, program
from gesso.wire.home import Home, make_private
from gesso.wire.message import PACKAGE_VERSION, PROTOCOL_VERSION, Message

_log = logging.getLogger(__name__)
_TICK = 0.5
_SAMPLE = 5.0
_GRACE = 4.0
_LINGER_MS = 500
CRASHES_WITH_FRONT = 10
"""A job that was being computed this often when the front itself died is held to be what kills it."""


class Front:
    """One life of the daemon: `start`, then wait for `stopped`, then `close`. The caller holds the lock."""

    def __init__(self, home: Home, options: ServeOptions, settings: Settings) -> None:
        self.stopped = asyncio.Event()
        self._home = home
        self._options = options
        self._live = LiveSettings(settings, options.flags)
        self._replay = home.state / "replay"
        self._began = time.monotonic()
        self._active = self._began
        self._draining = False
        self._metrics = Metrics()
        self._journal = Journal(home.journal)
        self._store = BlobStore(home.blobs, home.incoming, self._journal)
        self._retention = Retention(self._journal, self._store)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: list[sockets.FrontSocket] = []
        self._taken: list[Callable[[], None]] = []
        self._identity: Identity
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Everything up to `daemon.json`; what was accepted earlier waits again."""
        await self._journal.opened()
        await self._store.load()
        await self._retention.load()
        self._build()
        await self._restore()
        self._listen()
        steps.reached("discovery.write")
        endpoints = {socket.transport: socket.endpoint for socket in self._sockets}
        identity = self._identity
        at = {name: endpoints.get(name) for name in ("ipc", "tcp", "curve")}
        discovery.write(self._home, discovery.DaemonInfo(PROTOCOL_VERSION, identity.version, identity.pid, token=identity.token, **at))
        program.remember(self._home, [sys.executable, "-m", "gesso"])
        work = (self._tick(), self._store.reconcile(), self._retention.run(), self._sample(), self._guard.run())
        self._tasks = [asyncio.create_task(part) for part in work]
        for task in self._tasks:
            task.add_done_callback(self._background_ended)
        if self._options.prewarm:
            self._supervisor.ensure()
        _log.info("the daemon is ready", extra={"pid": identity.pid, "seconds": round(time.monotonic() - self._began, 3)})

    async def close(self) -> None:
        """Leave within ten seconds: workers first, then what is being written, then sockets and files."""
        discovery.remove(self._home)
        self._dispatcher.begin_close()
        for task in self._tasks:
            task.cancel()
        await self._supervisor.close(_GRACE)
        await self._dispatcher.close()
        self._peers.close()
        self._uploads.close()
        for socket in self._sockets:
            socket.close(_LINGER_MS)
        self._link.close()
        self._zap.close()
        self._output.close()
        await self._journal.close()
        self._context.destroy(linger=_LINGER_MS)
        for path in (self._identity.nonce_file, self._home.socket_path(), self._link_path()):
            path.unlink(missing_ok=True)
        _log.info("the daemon has left", extra={"seconds_up": round(time.monotonic() - self._began, 3)})

    async def abandon(self) -> None:
        """Let go of what a start that failed had taken. A ZeroMQ context that is merely forgotten may wait for its sockets for ever."""
        for socket in self._sockets:
            socket.close(0)
        for close in reversed(self._taken):
            close()
        await self._journal.close()
        self._context.destroy(linger=0)

    def _build(self) -> None:
        home, options = self._home, self._options
        self._zap = ZapHandler(self._context)
        self._taken.append(self._zap.close)
        self._uploads = Uploads(self._store)
        first_party = manifest.first_party()
        schema_files = options.schema_files or (first_party.operations_file,)
        self._schemas = Schemas(schema_files, first_party.models, home.models / "models.json", home.plugins)
        self._peers = Peers(self._serve, lambda peer: self._uploads.close_owner(peer.key))
        endings = Endings(self._journal, self._store, self._metrics, self._peers.publish)
        endings.pinned = self._retention.ended
        self._dispatcher = Dispatcher(self._journal, self._store, endings, self._metrics, self._peers.publish)
        make_private(self._link_path().parent)  # not the runtime directory where that is too deep for a socket
        self._link_path().unlink(missing_ok=True)
        self._link = FrontLink(self._context, self._zap, f"ipc://{self._link_path()}", self._dispatcher.receive, self._dispatcher.garbled)
        self._taken.append(self._link.close)
        settings = self._live.now
        self._output = output = WorkerOutput(home.worker_log, settings.integer("logs.size"), settings.integer("logs.files"))
        self._taken.append(output.close)
        executor = options.executor((*options.worker_command, *self._worker_arguments(settings)), output)
        patience = Patience(*(settings.number(f"worker.{what}_patience") for what in ("start", "silence", "hang")))
        self._supervisor = Supervisor(executor, self._link, home.runtime, output, settings.text("worker.device"), patience)
        self._dispatcher.attach(self._link, self._supervisor)
        self._lending = Lending(self._dispatcher, self._supervisor, self._link)
        self._live.changed = self._apply
        self._apply(settings)
        if self._schemas.strangers is not None:
            self._schemas.strangers.changed = self._supervisor.reload
        self._dispatcher.over = self._forget

    def _worker_arguments(self, settings: Settings) -> tuple[str, ...]:
        home = self._home
        thrift = {
            "workspace": settings["worker.workspace"],
            "offload": settings["worker.offload"],
            "int8": settings["worker.quantise"] == "int8",
            "channels_last": settings["worker.channels_last"],
            "compiled": settings["worker.compile"],
        }
        told = {
            "--models": home.models / "models.json",
            "--replay": self._replay,
            "--plugins": home.plugins,
            "--config": home.config_file,
            "--threads": settings["worker.threads"],
            "--slots": settings["worker.slots"],
            "--log-after": settings["worker.replay_after"],
            "--memory": settings["worker.memory"],
            "--thrift": json.dumps(thrift),
            "--idle-weights": settings["idle.drop_weights"],
            "--previews": settings["previews.per_second"],
        }
        return tuple(word for name, value in told.items() for word in (name, str(value)))

    def _apply(self, settings: Settings) -> None:
        """Take in what may change while the daemon runs."""
        self._dispatcher.queue_limit = settings.integer("queue.limit")
        self._dispatcher.client_limit = settings.integer("queue.client_limit")
        self._supervisor.prefer(settings.text("models.default"))
        self._store.limit = settings.integer("storage.limit")
        self._retention.set_keep(settings.number("storage.keep"))
        self._store.reserve = settings.integer("storage.reserve")
        logging.getLogger("gesso").setLevel(settings.text("logs.level").upper())

    def _kept_for(self, job: str) -> tuple[Path, Path]:
        """What a worker keeps for a job until its end: its replay log, and its own folder."""
        return self._replay / f"{job}.replay", self._replay / f"{job}.work"

    def _forget(self, job: str) -> None:
        for path in self._kept_for(job):
            files.remove(path)

    def _link_path(self) -> Path:
        return self._home.socket_path().with_name("link.sock")

    def _listen(self) -> None:
        home = self._home
        token = auth.new_token() if self._options.tcp or self._live.now.flag("daemon.tcp") else None
        self._sockets.append(sockets.open_ipc(self._context, self._zap, home.socket_path(), self._peers.deliver))
        if token is not None:
            self._sockets.append(sockets.open_tcp(self._context, self._zap, token, self._peers.deliver))
        tcp = self._sockets[-1].endpoint if token is not None else None
        if listen := self._live.now.text("daemon.listen"):
            self._sockets.append(sockets.open_curve(self._context, self._zap, home, listen, self._peers.deliver))
        self._guard = Guard(self._sockets, lambda: self._live.now.integer("daemon.memory"))
        nonce_file, nonce = home.runtime / "nonce", secrets.token_hex(32)
        nonce_file.unlink(missing_ok=True)
        with open(os.open(nonce_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(nonce)
        self._identity = Identity(os.getpid(), PACKAGE_VERSION, token, tcp, nonce_file, nonce)
        parts = Parts(
            self._identity,
            self._journal,
            self._store,
            self._uploads,
            self._schemas,
            self._dispatcher,
            self._metrics,
            self._retention,
            lambda: self._live.now,
            self._lending,
            self._state,
            self._stop,
        )
        self._requests = Requests(parts)

    async def _restore(self) -> None:
        """Give unfinished jobs back to the queue; those in a black box that was left behind are suspects."""
        boxes = list(self._home.runtime.glob("worker-*.box"))
        suspects = {job for box in boxes for job in BlackBox.read(box)}
        for box in boxes:
            box.unlink()
        if lost := await self._journal.submit(rows.fail_damaged):
            _log.error("records of unfinished jobs are damaged; the jobs have failed", extra={"jobs": lost})
        live = await self._journal.submit(rows.live_jobs)
        begun = [(row.id, row.seq) for row in live if row.state != "accepted"]
        blamed = [job for job, _ in begun if job in suspects]
        if begun:
            await self._journal.submit(rows.requeue, begun, blamed)
            live = await self._journal.submit(rows.live_jobs)
        kept = {path for row in live for path in self._kept_for(row.id)}
        for path in set(self._replay.glob("*")) - kept:
            files.remove(path)
        for row in live:
            blobs, model = self._needs(row)
            job = self._dispatcher.adopt(row, blobs, model, restored=True)
            if job.suspect >= CRASHES_WITH_FRONT:
                self._dispatcher.poison(job, f"The daemon died {job.suspect} times while it computed this job.")
        if live:
            _log.info("unfinished jobs wait again", extra={"jobs": len(live), "begun": len(begun), "suspects": len(blamed)})

    def _needs(self, row: rows.JobRow) -> tuple[tuple[str, ...], str | None]:
        try:
            return self._schemas.needs(str(row.request["operation"]), row.request["params"])
        except GessoError as fault:
            _log.warning("a job of an earlier start cannot be looked into", extra={"job": row.id, "fault": fault.message})
            return (), None

    async def _serve(self, peer: Peer, message: Message) -> None:
        self._active = time.monotonic()
        await self._requests.serve(peer, message)

    def _stop(self, drain: bool) -> None:
        if drain:
            self._draining = True
            self._dispatcher.begin_drain()
        else:
            self.stopped.set()

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        """Without its watch a front keeps no promise: it leaves, and whoever needs it starts a new one."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("a background task of the front failed", exc_info=fault)
            self.stopped.set()

    def _memory(self) -> dict[str, int]:
        """Bytes that the front and its worker take now, where that can be told."""
        pids = [("front", os.getpid()), *(("worker", worker["pid"]) for worker in self._supervisor.status() if worker["pid"])]
        return {name: taken for name, pid in pids if (taken := memory.resident(pid)) is not None}

    async def _sample(self) -> None:
        histograms = {"front": self._metrics.front_bytes, "worker": self._metrics.worker_bytes}
        while True:
            for name, taken in self._memory().items():
                histograms[name].observe(taken)
            await asyncio.sleep(_SAMPLE)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._supervisor.check()
            self._peers.tidy()
            if self._sockets[-1].transport == "curve":
                self._peers.keep_only("curve", {key.principal for key in keys.authorised(self._home)})
            self._uploads.expire()
            self._schemas.refresh()
            self._live.refresh()
            if self._draining and not self._dispatcher.at_work:
                self.stopped.set()
            if self._dispatcher.live:
                self._active = time.monotonic()
            idle, patience = time.monotonic() - self._active, self._live.now.number("idle.exit")
            if self._options.on_demand and 0 < patience < idle:
                _log.info("nobody needs the daemon", extra={"idle": round(idle)})
                self.stopped.set()

    async def _state(self) -> dict[str, Any]:
        workers = self._supervisor.status()
        states = await self._journal.submit(rows.count_states)
        metrics = {
            **self._metrics.as_dict(),
            "memory": self._memory(),
            "worker_restarts": self._supervisor.restarts,
            "worker_output_dropped": self._output.dropped,
            "refused_peers": self._zap.refused,
            "malformed": self._peers.malformed,
            "peers": len(self._peers),
            "connections_ended": self._guard.ended,
            "remote_connections": sum(len(socket.connections) for socket in self._sockets if socket.transport == "curve"),
        }
        models: list[dict[str, Any]] = []
        with contextlib.suppress(GessoError):  # `describe` and `submit` report a broken schema file
            models = self._schemas.models()
        return {
            "pid": os.getpid(),
            "version": PACKAGE_VERSION,
            "on_demand": self._options.on_demand,
            "draining": self._draining,
            "suspended": self._lending.suspended,
            "settings_fault": self._live.fault,
            "uptime": round(time.monotonic() - self._began, 3),
            "device": next((worker["info"].get("device") for worker in workers), None),
            "queue": {"waiting": len(self._dispatcher.waiting), **{state: states.get(state, 0) for state in states_of_jobs.ALL}},
            "workers": workers,
            "models": models,
            "storage": {
                **self._store.status(),
                "keep": self._retention.keep,
                "journal": files.size_of(self._home.state, f"{self._home.journal.name}*"),
                "disk_free": files.free_bytes(self._home.blobs),
                "journal_moved_aside": str(self._journal.aside) if self._journal.aside else None,
            },
            "metrics": {**metrics, "sqlite": sqlite3.sqlite_version, "libzmq": zmq.zmq_version()},
        }
