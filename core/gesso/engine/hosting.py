"""Calls for the thread pool: host functions, and the methods of models that are pure CPU work. As many fly as there are threads; the
others wait in fairness order, so that one client's hundred renders do not stand before another's one. A `Wait` computes nothing and has a
thread of its own at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from gesso.engine.calls import Apply, Call, Host, Wait
from gesso.engine.fairness import Fairness
from gesso.engine.forward import Models, on_pool
from gesso.engine.resume import Resumer
from gesso.engine.task import Pending, Running


@dataclass(frozen=True)
class Pool:
    """A thread pool and how many threads it has."""

    executor: Executor
    width: int = 2


@dataclass(frozen=True)
class Outcomes:
    """Where the outcome of a call goes: its reply, or what it raised. ``mark(job)`` names whose code runs next; ``post(action)`` reaches
    the loop's thread.
    """

    reply: Callable[[Pending, Any], None]
    fault: Callable[[Pending, BaseException], None]
    mark: Callable[[Running], None]
    post: Callable[[Callable[[], None]], None]


class Hosting:
    """The calls that wait for a thread, and those that have one."""

    def __init__(self, models: Models, pool: Pool, resumer: Resumer, outcomes: Outcomes) -> None:
        self.fairness = Fairness()
        self.flying: dict[Future[Any], Pending] = {}
        self._waiting: list[Pending] = []
        self._began: dict[Future[Any], float] = {}
        self._models = models
        self._pool = pool
        self._resumer = resumer
        self._outcomes = outcomes
        self._methods: set[tuple[str, str]] = set()

    def takes(self, call: Call) -> bool:
        """Whether a call belongs here. Of a model's method that is known once `learn` was told."""
        return isinstance(call, (Host, Wait)) or (isinstance(call, Apply) and (call.model.digest, call.method) in self._methods)

    def learn(self, call: Apply) -> None:
        """From now on, calls of this method of this model belong here."""
        self._methods.add((call.model.digest, call.method))

    def add(self, call: Pending) -> None:
        """Let a call wait for a thread."""
        self._waiting.append(call)

    @property
    def ready(self) -> bool:
        """Whether a call waits and there is a thread for it."""
        return any(isinstance(call.call, Wait) for call in self._waiting) or (
            self.computing < self._pool.width and any(not call.running.paused for call in self._waiting)
        )

    @property
    def computing(self) -> int:
        """Calls that have a thread and compute on it."""
        return sum(not isinstance(call.call, Wait) for call in self.flying.values())

    @property
    def longest(self) -> float:
        """Seconds that the oldest call has been on the pool; 0 where there is none. Waiting is bounded by who waits."""
        began = [self._began[future] for future, call in self.flying.items() if not isinstance(call.call, Wait)]
        return time.perf_counter() - min(began) if began else 0.0

    def launch(self) -> bool:
        """Start what there are threads for; False if that is nothing."""
        did = False
        while self.ready:
            call = (
                next((call for call in self._waiting if isinstance(call.call, Wait)), None)
                or self.fairness.order(call for call in self._waiting if not call.running.paused)[0]
            )
            self._waiting.remove(call)
            self._fly(call)
            did = True
        return did

    def drop_closed(self) -> None:
        """Forget the calls of closed generators; what already runs runs on, unheard."""
        self._waiting = [call for call in self._waiting if not call.task.closed]
        for future in [future for future, call in self.flying.items() if call.task.closed]:
            future.cancel()

    def _fly(self, call: Pending) -> None:
        self._outcomes.mark(call.running)
        try:
            with self._resumer.ambient.within():
                work = on_pool(self._models, call.call)
        except Exception as fault:
            self._outcomes.fault(call, fault)
            return
        future = _aside(work) if isinstance(call.call, Wait) else self._pool.executor.submit(work)
        self.flying[future] = call
        self._began[future] = time.perf_counter()
        future.add_done_callback(lambda done: self._outcomes.post(partial(self._land, done)))

    def _land(self, done: Future[Any]) -> None:
        call = self.flying.pop(done)
        seconds = time.perf_counter() - self._began.pop(done)
        self._resumer.clean("a host function")
        if not call.running.ended and not isinstance(call.call, Wait):
            self.fairness.charge(call.running.ticket.client, seconds)
        if done.cancelled():
            return
        fault = done.exception()
        if fault is None:
            self._outcomes.reply(call, done.result())
        else:
            self._outcomes.fault(call, fault)


def _aside(work: Callable[[], Any]) -> Future[Any]:
    """Run something on a thread of its own, which keeps no process alive."""
    future: Future[Any] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            value = work()
        except BaseException as fault:
            future.set_exception(fault)
        else:
            future.set_result(value)

    threading.Thread(target=run, name="gesso-wait", daemon=True).start()
    return future
