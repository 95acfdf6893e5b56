"""Gives waiting jobs to the worker and takes back what comes of it: leases, Go, events, ends, the loss of a worker. It
decides who runs, journals every move before it happens, and computes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

from gesso.daemon import jobs, rows, steps
from gesso.daemon.blobs import BlobStore
from gesso.daemon.endings import Endings
from gesso.daemon.jobs import LiveJob
from gesso.daemon.journal import Journal
from gesso.daemon.metrics import Metrics
from gesso.daemon.rows import JobRow
from gesso.daemon.states import TERMINAL
from gesso.daemon.stream import Event as StreamEvent
from gesso.daemon.stream import Stream
from gesso.daemon.waiting import Waiting
from gesso.daemon.workers import Loss, Supervisor, Worker
from gesso.errors import BlobMissing, Busy, GessoError, InvalidRequest, Poisoned, ProtocolError, StorageFull, TooLarge, WorkerLost
from gesso.link import messages as link
from gesso.link.front_link import FrontLink
from gesso.wire import message as wire

_log = logging.getLogger(__name__)
ATTEMPTS = 20
"""A job that was begun this often without an end has failed, whoever was to blame."""
_EVENTS = ("progress", "preview", "log")
_DISK_PAUSE = 1.0
_EVENT_BYTES = 16 << 10


class Dispatcher:
    """All live jobs. Runs on the loop; every coroutine that it starts is kept until it ends. ``over`` is told the id of each
    job that ended.
    """

    def __init__(
        self, journal: Journal, store: BlobStore, endings: Endings, metrics: Metrics, publish: Callable[[StreamEvent], None]
    ) -> None:
        self.live: dict[str, LiveJob] = {}
        self.waiting = Waiting()
        self.queue_limit = self.client_limit = 0
        self._journal = journal
        self._store = store
        self._endings = endings
        self._metrics = metrics
        self._publish = publish
        self.over: Callable[[str], None] = lambda _: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._link: FrontLink
        self._supervisor: Supervisor
        self.suspended = False
        self._closing = self._draining = False
        endings.ended = self._ended

    def attach(self, link_: FrontLink, supervisor: Supervisor) -> None:
        """Know the worker's side; before the first job."""
        self._link, self._supervisor = link_, supervisor
        supervisor.lost = self._lost

    def admit(self, owner: tuple[str, str]) -> None:
        """Busy if the queue has no room for one more job of this client."""
        per_job = self._metrics.seconds_per_job
        if len(self.waiting) >= self.queue_limit:
            raise _busy("The queue is full", len(self.waiting) * per_job)
        if self.waiting.count(owner) >= self.client_limit:
            raise _busy(f"This client has {self.client_limit} jobs in the queue", self.client_limit * per_job)

    def adopt(self, row: JobRow, blobs: tuple[str, ...], model: str | None, *, restored: bool = False) -> LiveJob:
        """Let a journaled job wait for its turn; the same job twice is one. ``restored``: it was journaled by an earlier front."""
        known = self.live.get(row.id)
        if known is not None:
            return known
        stream = Stream.of_row(row) if restored else Stream(row.id, 0)
        job = self.live[row.id] = jobs.of_row(row, stream, blobs, model)
        self._store.pin(job.id, blobs)
        if job.cancel_wanted:
            self._end(job, self._endings.cancel(job))
            return job
        self._wait(job, again=False)
        if self.suspended:
            said = "The device is given to another program; the job waits until `gesso resume`."
            self._publish(job.stream.add("log", {"level": "warning", "message": said}))
        self.resume()
        return job

    def resume(self) -> None:
        """Have a worker where there is a job, and let it have what waits."""
        if self.live:
            self._supervisor.ensure()
        self.pump()

    def poison(self, job: LiveJob, sentence: str) -> None:
        """End a waiting job that is held to be deadly."""
        if self.waiting.remove(job):
            self._end(job, self._endings.fail(job, Poisoned(sentence)))

    async def cancel(self, job: LiveJob) -> None:
        """Cancel in any state; done when the wish cannot be lost any more."""
        if job.ending or job.cancel_wanted:
            return
        job.cancel_wanted = True
        if self.waiting.remove(job):
            await self._endings.cancel(job)
            return
        if job.worker is not None:
            self._link.send(job.worker, link.Cancel(job.id))
        await self._journal.submit(rows.want_cancel, job.id)

    async def pause(self, job: LiveJob, paused: bool) -> None:
        """Let a job stand from its next step on, or go on; done when a restart cannot forget it."""
        if job.ending or job.cancel_wanted or job.paused == paused:
            return
        if paused and job.suspect and job.state != "accepted":
            raise InvalidRequest(
                f"Job {job.id} is being tried alone after a crash and cannot be paused.", field="job", hint="Wait, or cancel it."
            )
        job.paused = paused
        self._publish(job.stream.add("log", {"level": "info", "message": "The job is paused." if paused else "The job goes on."}))
        await self._steer(job)

    async def prioritise(self, job: LiveJob, priority: str) -> None:
        """Give a job another priority from its next step on; one that waits goes to the end of that queue."""
        if job.ending or job.cancel_wanted or job.priority == priority:
            return
        waits = self.waiting.remove(job)
        job.priority = priority
        if waits:
            self._publish(job.stream.add("queued", {"position": self.waiting.push(job)}))
        await self._steer(job)

    async def _steer(self, job: LiveJob) -> None:
        if job.worker is not None:
            self._link.send(job.worker, link.Steer(job.id, job.paused, job.priority))
        self.pump()
        await self._journal.submit(rows.steer, job.id, job.paused, job.priority)

    def pump(self) -> None:
        """Lease as many jobs as the worker has slots for; paused ones take none."""
        worker = self._supervisor.worker
        if worker is None or not worker.ready or self._closing or self._draining or self.suspended:
            return
        while sum(not job.paused for job in worker.leases.values()) < worker.slots and not self._alone(worker):
            long = any(job.patient for job in worker.leases.values())
            job = cast("LiveJob | None", self.waiting.pop(worker.resident, bool(worker.leases), long))
            if job is None:
                return
            job.turn += 1
            job.state, job.worker = "leased", worker.name
            worker.leases[job.id] = job
            self._spawn(self._lease(worker, job, job.turn))

    def receive(self, name: str, message: link.Message) -> None:
        """A message of the worker."""
        worker = self._supervisor.worker
        if worker is None or worker.name != name:
            return
        worker.heard = time.monotonic()
        match message:
            case link.Ready():
                self._supervisor.on_ready(worker, message)
                self.pump()
            case link.Heartbeat():
                self._supervisor.on_heartbeat(worker, message)
            case link.Fetch():
                self._spawn(self._fetch(worker, message.sha256))
            case link.Resolved():
                self._resolved(worker, message)
            case link.Event():
                self._event(worker, message)
            case link.Finished():
                self._finished(worker, message)
            case link.Seen():
                self._spawn(self._endings.seen(message))
            case link.Bye():
                self._supervisor.condemn(worker, "left of its own will")
            case _:
                self.garbled(name, ProtocolError(f"A worker may not send {message.type!r}."))

    def garbled(self, name: str, fault: ProtocolError) -> None:
        """A worker that cannot be understood cannot be trusted with jobs."""
        worker = self._supervisor.worker
        if worker is not None and worker.name == name:
            self._supervisor.condemn(worker, f"broke the link's protocol: {fault.message}")

    async def close(self) -> None:
        """No new leases; let what is being written reach the disk, then give the rest back to the queue."""
        self._closing = True
        ending = [task for task in self._tasks if not task.done()]
        if ending:
            await asyncio.wait(ending, timeout=3.0)
        for task in self._tasks:
            task.cancel()
        rest = [(job.id, job.stream.seq) for job in self.live.values() if job.state in ("leased", "running") and not job.ending]
        if rest:
            await self._journal.submit(rows.requeue, rest, [])

    @property
    def at_work(self) -> bool:
        """Whether a job is with the worker and not paused, or its end on the way to the disk."""
        return any((job.state != "accepted" and not job.paused) or job.ending for job in self.live.values())

    def begin_drain(self) -> None:
        """From now on nothing is leased; what runs comes to its end."""
        self._draining = True

    def begin_close(self) -> None:
        """From now on nothing is leased."""
        self._closing = True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("a step of the dispatcher failed", exc_info=fault)

    def _wait(self, job: LiveJob, *, again: bool) -> None:
        job.state, job.worker = "accepted", None
        job.waits_since = time.monotonic()
        job.steps.clear()
        job.turn += 1
        position = self.waiting.push(job, front=again)
        self._publish(job.stream.add("queued", {"position": position}))

    def _alone(self, worker: Worker) -> bool:
        return any(job.suspect for job in worker.leases.values())

    def _held(self, worker: Worker, job: str) -> LiveJob | None:
        """The job of that id, if the worker has it and it has not ended: all that a worker says of others is ignored."""
        worker.useful = True
        held = worker.leases.get(job)
        return None if held is None or held.ending else held

    async def _lease(self, worker: Worker, job: LiveJob, turn: int) -> None:
        try:
            job.attempt = await self._journal.submit(rows.lease, job.id, job.stream.seq)
        except StorageFull:
            await asyncio.sleep(_DISK_PAUSE)
            if job.turn == turn:
                worker.leases.pop(job.id, None)
                self._wait(job, again=True)
                self.pump()
            return
        if job.turn != turn or job.ending:
            return
        if job.cancel_wanted:
            worker.leases.pop(job.id, None)
            await self._endings.cancel(job)
            return
        job.began = time.monotonic()
        self._metrics.queue_seconds.observe(job.began - job.waits_since)
        steps.reached("lease.send")
        self._link.send(worker.name, link.Lease(job.id, job.attempt, job.request, job.spec, job.priority, job.client))
        steps.reached("lease.sent")
        if job.paused:
            self._link.send(worker.name, link.Steer(job.id, job.paused, job.priority))

    def _resolved(self, worker: Worker, message: link.Resolved) -> None:
        job = self._held(worker, message.job)
        if job is not None and job.state == "leased":
            job.state = "running"
            self._spawn(self._start(worker, job, dict(message.spec) if job.spec is None else job.spec))

    async def _start(self, worker: Worker, job: LiveJob, spec: Mapping[str, Any]) -> None:
        turn = job.turn
        while job.turn == turn and not job.ending:
            try:
                await self._journal.submit(rows.start, job.id, spec, job.stream.seq + 1)
                break
            except StorageFull:
                await asyncio.sleep(_DISK_PAUSE)  # the worker waits for Go meanwhile
        if job.turn != turn or job.ending:
            return
        job.spec = spec
        self._publish(job.stream.add("started", {"worker": worker.name, "attempt": job.attempt}))
        steps.reached("go.send")
        self._link.send(worker.name, link.Go(job.id))

    def _event(self, worker: Worker, message: link.Event) -> None:
        job = self._held(worker, message.job)
        kind = message.body.get("type")
        if job is None or kind not in _EVENTS:
            return
        body = {key: value for key, value in message.body.items() if key not in ("type", "job", "seq")}
        if kind == "progress":
            self._metrics.progress(job.steps, body)
        payload = message.blobs[0] if kind == "preview" and message.blobs else b""
        try:
            frames = wire.encode(body, payload)
            if len(frames[1]) > _EVENT_BYTES:
                raise TooLarge(f"An event has at most {_EVENT_BYTES} bytes beside its picture.")
        except ProtocolError as fault:
            _log.warning("an event cannot be sent and is dropped", extra={"job": job.id, "fault": fault.message})
            return
        self._publish(job.stream.add(str(kind), body, payload))

    def _finished(self, worker: Worker, message: link.Finished) -> None:
        job = self._held(worker, message.job)
        if job is None or (message.state == "cancelled" and self._closing and not job.cancel_wanted):
            return  # the worker closed it because the front leaves: it goes back to the queue
        del worker.leases[job.id]
        steps.reached("finished.received")
        if message.state == "done" and message.result is not None:
            self._end(job, self._endings.finish(job, message.result, message.blobs))
        elif message.state == "cancelled" and job.cancel_wanted:
            self._end(job, self._endings.cancel(job))
        elif message.state == "failed" and message.error is not None:
            self._end(job, self._endings.fail_wire(job, message.error))
        else:
            fault = GessoError(f"The worker ended the job as {message.state[:20]!r}, which makes no sense here.")
            self._end(job, self._endings.fail(job, fault))
        self.pump()

    def _end(self, job: LiveJob, ending: Coroutine[Any, Any, None]) -> None:
        """From this moment on nothing else can end the job."""
        job.ending = True
        self._spawn(ending)

    async def _fetch(self, worker: Worker, sha256: str) -> None:
        found: tuple[bytes, ...] = ()
        try:
            found = (await self._store.read(sha256, 0, self._store.size(sha256)),)
        except BlobMissing:
            _log.warning("a worker asked for a blob that is gone", extra={"sha256": sha256})
        self._link.send(worker.name, link.Blob(sha256, blobs=found))

    def _lost(self, loss: Loss) -> None:
        held = [job for job in loss.worker.leases.values() if not job.ending]
        suspects = {job.id for job in held if job.id in loss.suspects}
        back: list[LiveJob] = []
        for job in held:
            job.turn += 1
            if job.cancel_wanted:
                self._end(job, self._endings.cancel(job))
            elif loss.hopeless is not None:
                self._end(job, self._endings.fail(job, _cannot_start(loss.hopeless)))
            elif job.suspect and job.id in suspects and not self._closing:
                self._end(job, self._endings.fail(job, _poisoned(loss)))
            elif job.attempt >= ATTEMPTS:
                sentence = f"The job was begun {job.attempt} times; each time the worker ended. The last one {loss.reason}."
                self._end(job, self._endings.fail(job, WorkerLost(sentence)))
            else:
                back.append(job)
        if back and not self._closing:
            self._spawn(self._requeue(back, suspects))
        for waiter in list(self.waiting) if loss.hopeless is not None else []:
            self.waiting.remove(waiter)
            job = cast(LiveJob, waiter)
            self._end(job, self._endings.fail(job, _cannot_start(str(loss.hopeless))))

    async def _requeue(self, back: list[LiveJob], suspects: set[str]) -> None:
        blamed = [job.id for job in back if job.id in suspects]
        while True:
            try:
                await self._journal.submit(rows.requeue, [(job.id, job.stream.seq) for job in back], blamed)
                break
            except StorageFull:
                await asyncio.sleep(_DISK_PAUSE)
        self._metrics.requeued += len(back)
        for job in reversed(back):
            job.suspect += job.id in suspects
            if job.cancel_wanted:
                await self._endings.cancel(job)
            else:
                self._wait(job, again=True)
        self.resume()

    def _ended(self, job: LiveJob) -> None:
        if job.state in TERMINAL:
            self.live.pop(job.id, None)
            self.over(job.id)
        self.pump()


def _busy(sentence: str, seconds: float) -> Busy:
    wait = round(min(60.0, max(1.0, seconds / 10)), 1)
    return Busy(f"{sentence}; try again in {wait:g} seconds.", details={"retry_after": wait})


def _cannot_start(sentence: str) -> WorkerLost:
    return WorkerLost(sentence, hint="`gesso doctor` looks for the cause.")


def _poisoned(loss: Loss) -> Poisoned:
    return Poisoned(
        f"The worker {loss.reason} while it ran this job, and again when it ran it alone. It is not tried a third time.",
        hint="Try another size, model or sampler; the log of the worker may tell more.",
    )
