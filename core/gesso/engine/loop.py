"""The engine: resumes the generators of all jobs, runs one batch of their calls a turn and sends the replies back in. It is one thread and
never sleeps by itself; it knows no socket, no plugin registry and no file.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from gesso.engine.batching import key_of, rows_of, size_of
from gesso.engine.calls import All, Call, CallError, Denoise, DenoiseGrad, Emit, EncodeText, Job, NextTokens, Preview, Progress, Warn
from gesso.engine.dispatch import Dispatcher, Posts, explained_call
from gesso.engine.forward import Models
from gesso.engine.hosting import Outcomes, Pool
from gesso.engine.replay import ReplayLog
from gesso.engine.resume import Leaked, Raised, Resumer, Returned, Yielded, explained
from gesso.engine.task import Ended, Pending, Priority, Running, Task, Ticket
from gesso.errors import PluginError, TooManyEvaluations

JobEvent = Progress | Preview | Warn | Ended
_ROUNDS = 8
"""How often a turn lets generators go on whose replies came at once (cached, replayed, emitted) before a forward runs."""


@dataclass(frozen=True)
class Hooks:
    """How the engine reaches the world. ``events(job, event)``: on the loop's thread, in order, `Ended` last. ``mark(ids)``: before each
    forward or resume, whose code runs next (the black box). ``ahead()``: before each forward, which may take seconds: the time to send what
    ``events`` told. ``wake()``: from any thread, when `Engine.post` was called.
    """

    events: Callable[[str, JobEvent], None]
    mark: Callable[[Sequence[str]], None] = lambda _: None
    ahead: Callable[[], None] = lambda: None
    wake: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.perf_counter


@dataclass(frozen=True)
class _Ready:
    """A generator to be resumed."""

    task: Task
    value: Any = None
    fault: BaseException | None = None


class Engine:
    """Jobs as coroutines over one device. All methods but `post` belong to the thread that calls `turn`.

    ``width``: how many calls may be on the thread pool at once. ``log_after``: seconds of device time after which a job's replies go to its
    replay log. ``threads``: counts that `fast` may try beside torch's own.
    """

    def __init__(
        self, models: Models, pool: Executor, hooks: Hooks, *, width: int = 2, log_after: float = 0.0, threads: Sequence[int] = ()
    ) -> None:
        self._hooks = hooks
        self._log_after = log_after
        self._posts = Posts(hooks.wake)
        self._resumer = Resumer(self._emit, lambda: self._calls.hosting.computing > 0)
        outcomes = Outcomes(self._deliver, self._deliver_fault, self._mark, self._posts.put)
        self._calls = Dispatcher(models, Pool(pool, width), self._resumer, outcomes, threads)
        self._jobs: dict[str, Running] = {}
        self._ready: deque[_Ready] = deque()
        self._orders = itertools.count()
        self._marked: tuple[str, ...] | None = None

    # ---- jobs ----

    def start(self, ticket: Ticket, job: Job, log: ReplayLog | None = None) -> None:
        """Take a job in. ``log`` is closed by the engine, and deleted when the job ends."""
        if ticket.job in self._jobs:
            raise ValueError(f"The job {ticket.job!r} is in the engine already.")
        running = Running(ticket, next(self._orders), ticket.priority, log)
        running.root = Task(running, (), job)
        self._jobs[ticket.job] = running
        self._ready.append(_Ready(running.root))

    def cancel(self, job: str) -> None:
        """Close the job's generators now; it ends as cancelled. Unknown and ended jobs are ignored."""
        if running := self._jobs.get(job):
            self._end(running, Ended("cancelled"))

    def pause(self, job: str) -> None:
        """Let the job stand at its next border. Unknown jobs are ignored, here and below."""
        if running := self._jobs.get(job):
            running.paused = True

    def resume(self, job: str) -> None:
        """Let a paused job go on."""
        if running := self._jobs.get(job):
            running.paused = False

    def reprioritise(self, job: str, priority: Priority) -> None:
        """Change the class of a job from its next call on."""
        if running := self._jobs.get(job):
            running.priority = priority

    def close(self) -> None:
        """Close every generator without a result; replay logs stay for the next start."""
        for running in list(self._jobs.values()):
            self._drop(running)
            if running.log is not None:
                running.log.close()

    @property
    def jobs(self) -> tuple[str, ...]:
        """The ids of the jobs taken in and not ended."""
        return tuple(self._jobs)

    @property
    def busy(self) -> bool:
        """Whether a turn has a generator to resume or a call to run."""
        return self._calls.ready or any(not item.task.running.paused and not item.task.closed for item in self._ready)

    @property
    def counters(self) -> dict[str, int]:
        """Forwards and model evaluations so far."""
        return {"forwards": self._calls.forwards, "evaluations": self._calls.evaluations}

    @property
    def longest_host_call(self) -> float:
        """Seconds that the oldest call has been on the thread pool; 0 where there is none."""
        return self._calls.hosting.longest

    # ---- the loop ----

    def post(self, action: Callable[[], None]) -> None:
        """Run an action on the loop's thread at its next turn; may be called from any thread."""
        self._posts.put(action)

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something is posted (a host function ended ...), and do it; False after ``timeout`` seconds."""
        return self._posts.wait(timeout)

    def turn(self) -> bool:
        """Do what was posted, resume every generator that has its reply, run one batch. False if there was nothing to do."""
        with self._resumer.ambient.within():
            return self._turn()

    def _turn(self) -> bool:
        self._resumer.clean("the last call, or something outside the engine,")
        did = self._posts.do()
        for _ in range(_ROUNDS):
            if not self._resume_ready():
                break
            did = True
        did = self._calls.hosting.launch() or did
        batch = self._calls.next_batch()
        if batch:
            self._hooks.ahead()
            self._mark(*(call.running for call in batch))
            self._calls.run(batch, self._hooks.clock)
            did = True
        if did:
            self._mark()
        return did

    def run(self) -> None:
        """Turn until no job is left that can go on."""
        while self.turn() or self._calls.hosting.flying:
            if self._calls.hosting.flying and not self.busy:
                self.wait()

    # ---- generators ----

    def _resume_ready(self) -> bool:
        """Resume what is ready now, once each."""
        did = False
        for item in [self._ready.popleft() for _ in range(len(self._ready))]:
            if item.task.closed:
                continue
            if item.task.running.paused:
                self._ready.append(item)
                continue
            self._resume(item)
            did = True
        return did

    def _resume(self, item: _Ready) -> None:
        self._mark(item.task.running)
        match self._resumer.resume(item.task, item.value, item.fault):
            case Yielded(asked):
                self._accept(item.task, asked)
            case Returned(value):
                self._return(item.task, value)
            case Raised(fault):
                self._raise(item.task, fault)
            case Leaked(error):
                self._end(item.task.running, Ended("failed", error=error))
                self._resumer.restore()

    def _accept(self, task: Task, asked: object) -> None:
        if isinstance(asked, Emit):
            self._emit(task, asked)
            self._ready.append(_Ready(task))
        elif isinstance(asked, All):
            self._branch(task, asked)
        elif isinstance(asked, Call):
            self._call(task, asked)
        else:
            self._refuse(task, f"yielded {type(asked).__name__!r}")

    def _refuse(self, task: Task, what: str) -> None:
        ticket = task.running.ticket
        message = f"{ticket.title[:1].upper()}{ticket.title[1:]} {what}; a call, an All or an Emit was expected."
        self._end(task.running, Ended("failed", error=PluginError(message, details={"plugin": ticket.plugin})))

    def _branch(self, task: Task, every: All) -> None:
        for item in every.items:
            if not (isinstance(item, Call) or hasattr(item, "throw")):
                self._refuse(task, f"yielded an All with {type(item).__name__!r} in it")
                return
        number, task.count = task.count, task.count + 1
        task.replies, task.missing = [None] * len(every.items), len(every.items)
        generators = [None if isinstance(item, Call) else item for item in every.items]
        task.children = [
            Task(task.running, (*task.path, (number, slot)), generator, task, slot) for slot, generator in enumerate(generators)
        ]
        if not every.items:
            self._ready.append(_Ready(task, ()))
        for child, item in zip(list(task.children), every.items, strict=True):
            if child.closed:
                continue
            if isinstance(item, Call):
                self._call(child, item)
            else:
                self._ready.append(_Ready(child))

    def _return(self, task: Task, value: Any) -> None:
        task.closed = True
        parent = task.parent
        if parent is None:
            self._end(task.running, Ended("done", value))
            return
        parent.replies[task.slot] = value
        parent.missing -= 1
        if parent.missing == 0:
            self._ready.append(_Ready(parent, tuple(parent.replies)))
            parent.children, parent.replies = [], []

    def _raise(self, task: Task, fault: BaseException) -> None:
        task.closed = True
        parent = task.parent
        if parent is None:
            self._end(task.running, Ended("failed", error=explained(fault, task.running.ticket)))
            return
        for sibling in parent.children:
            self._close(sibling)
        parent.children, parent.replies = [], []
        self._ready.append(_Ready(parent, None, fault))

    def _close(self, task: Task) -> None:
        if not task.closed:
            below = list(task.descendants())
            for each in below:
                each.closed = True
            self._resumer.close([each for each in below if each.generator is not None])
            self._calls.drop_closed()

    def _end(self, running: Running, how: Ended) -> None:
        if running.ended:
            return
        self._drop(running)
        if running.log is not None:
            running.log.delete()
        end = Ended(how.state, how.value, how.error, running.evaluations, running.seconds)
        self._hooks.events(running.ticket.job, end)

    def _drop(self, running: Running) -> None:
        running.ended = True
        del self._jobs[running.ticket.job]
        self._mark(running)
        if running.root is not None:
            self._close(running.root)
        running.root = None
        self._calls.release(running)
        if not any(other.ticket.client == running.ticket.client for other in self._jobs.values()):
            self._calls.forget(running.ticket.client)

    def _emit(self, task: Task, emit: Emit) -> None:
        for event in emit.events:
            self._hooks.events(task.running.ticket.job, event)

    # ---- calls ----

    def _call(self, task: Task, call: Call) -> None:
        running = task.running
        number, task.count = task.count, task.count + 1
        if isinstance(call, (Denoise, DenoiseGrad, NextTokens)):
            running.evaluations += 1
            if running.evaluations > running.ticket.evaluations:
                self._end(running, Ended("failed", error=_too_many(running)))
                return
        pending = Pending(task, number, call, key_of(call), rows_of(call), size_of(call))
        held = self._held(pending)
        if held is None:
            self._calls.add(pending)
        else:
            self._reply(pending, held)

    def _held(self, pending: Pending) -> Any:
        """A reply that needs no work: from the replay log, or embeddings that are cached."""
        call, log = pending.call, pending.running.log
        if isinstance(call, EncodeText):
            return self._calls.held(call)
        if call.logged and log is not None:
            return log.get((pending.task.path, pending.number), call)
        return None

    def _deliver(self, pending: Pending, reply: Any) -> None:
        running = pending.running
        if pending.task.closed:
            return
        if pending.call.logged and running.log is not None and running.seconds >= self._log_after:
            running.log.put((pending.task.path, pending.number), reply)
        self._reply(pending, reply)

    def _reply(self, pending: Pending, reply: Any) -> None:
        if pending.task.generator is None:
            self._return(pending.task, reply)
        else:
            self._ready.append(_Ready(pending.task, reply))

    def _deliver_fault(self, pending: Pending, fault: BaseException) -> None:
        if pending.task.closed:
            return
        error = explained_call(pending, fault)
        if pending.task.generator is None:
            self._raise(pending.task, CallError(error))
        else:
            self._ready.append(_Ready(pending.task, None, CallError(error)))

    def _mark(self, *now: Running) -> None:
        """Tell the black box whose code runs next, if it is not what was told last."""
        flying = self._calls.hosting.flying
        running = (*now, *(call.running for call in flying.values())) if flying else now
        ids = tuple(dict.fromkeys([each.ticket.job for each in running]))
        if ids != self._marked:
            self._marked = ids
            self._hooks.mark(ids)


def _too_many(running: Running) -> TooManyEvaluations:
    most = running.ticket.evaluations
    return TooManyEvaluations(
        f"The job asked for more than {most} model evaluations and was stopped.",
        hint="Choose fewer steps or images, or another sampler.",
        details={"evaluations": most},
    )
