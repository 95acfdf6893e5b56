"""Gives calls their turn: gathers those that may share a forward, runs them on the device or on the thread pool, and charges who asked."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from gesso.engine.batching import Knee
from gesso.engine.calls import Apply, Denoise, DenoiseGrad, EncodeText, Host
from gesso.engine.fairness import Fairness
from gesso.engine.forward import Forward, Models, TextCache, on_pool
from gesso.engine.resume import OUT_OF_MEMORY, Resumer, out_of_memory, shortened
from gesso.engine.task import Pending, Running
from gesso.errors import GessoError, ModelError, PluginError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replies:
    """Where the outcome of a call goes: its reply, or its error."""

    reply: Callable[[Pending, Any], None]
    fault: Callable[[Pending, GessoError], None]


class Posts:
    """Actions for the loop's thread; anybody may put, the loop takes."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._actions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake = wake

    def put(self, action: Callable[[], None]) -> None:
        """Leave an action."""
        self._actions.put(action)
        self._wake()

    def do(self) -> bool:
        """Do what is there; False if there was nothing."""
        there = self._actions.qsize()
        for _ in range(there):
            self._actions.get()()
        return there > 0

    def wait(self, timeout: float | None) -> bool:
        """Sleep until there is something, and do one action; False after ``timeout`` seconds."""
        try:
            self._actions.get(timeout=timeout)()
        except queue.Empty:
            return False
        return True


class Dispatcher:
    """The calls that wait (``pending``) and those on the thread pool (``flying``)."""

    def __init__(self, models: Models, pool: Executor, resumer: Resumer, replies: Replies, posts: Posts) -> None:
        self.pending: list[Pending] = []
        self.flying: dict[Future[Any], Pending] = {}
        self.forwards = 0
        self.evaluations = 0
        self.texts = TextCache()
        self.fairness = Fairness()
        self._models = models
        self._pool = pool
        self._resumer = resumer
        self._replies = replies
        self._posts = posts
        self._forward = Forward(models, self.texts)
        self._knee = Knee()

    def add(self, call: Pending) -> None:
        """Take a call in; host functions fly at once."""
        if isinstance(call.call, Host):
            self._fly(call, on_pool(self._models, call.call))
        else:
            self.pending.append(call)

    def held(self, call: EncodeText) -> Any:
        """The reply to a call whose embeddings are all cached, or None."""
        return self.texts.all(call)

    def drop_closed(self) -> None:
        """Forget the calls of closed generators; what already runs on the pool runs on, unheard."""
        self.pending = [call for call in self.pending if not call.task.closed]
        for future in [future for future, call in self.flying.items() if call.task.closed]:
            future.cancel()

    def next_batch(self) -> list[Pending]:
        """Take out the calls that run next: one, or in `fast` several of equal key up to the knee."""
        waiting = self.fairness.order(call for call in self.pending if not call.running.paused)
        if not waiting:
            return []
        first, *others = waiting
        batch, rows = [first], first.rows
        if first.call.batched and first.running.ticket.level == "fast":
            limit = self._knee.limit(first.key)
            for other in others:
                if rows >= limit:
                    break
                if other.key == first.key and other.running.ticket.level == "fast":
                    batch.append(other)
                    rows += other.rows
        self.pending = [call for call in self.pending if call not in batch]
        return batch

    def run(self, batch: Sequence[Pending], clock: Callable[[], float]) -> None:
        """Run calls of one key together; where that fails, each by itself, so that only the guilty one gets the error."""
        started = clock()
        try:
            replies = self._run(batch)
        except Exception as fault:
            self._failed(batch, fault, clock)
            return
        if replies is not None:
            self._charge(batch, clock() - started)
            for call, reply in zip(batch, replies, strict=True):
                self._replies.reply(call, reply)

    def _run(self, batch: Sequence[Pending]) -> list[Any] | None:
        """The replies, or None where the call went to the thread pool."""
        calls = [pending.call for pending in batch]
        with self._resumer.ambient.within():
            if isinstance(calls[0], Apply) and (work := on_pool(self._models, calls[0])):
                self._fly(batch[0], work)
                return None
            try:
                return self._forward.run(calls)
            except OUT_OF_MEMORY:
                if len(batch) > 1 or self._models.make_room() == 0:
                    raise
            return self._forward.run(calls)

    def _failed(self, batch: Sequence[Pending], fault: Exception, clock: Callable[[], float]) -> None:
        if isinstance(fault, OUT_OF_MEMORY):
            self._knee.lower(batch[0].key, sum(call.rows for call in batch))
            self._models.make_room()
        if len(batch) > 1:
            for call in batch:
                self._resumer.clean("a call that failed")
                self.run([call], clock)
        else:
            self._replies.fault(batch[0], explained_call(batch[0], fault))

    def _charge(self, batch: Sequence[Pending], seconds: float) -> None:
        rows = sum(call.rows for call in batch) or 1
        self.forwards += 1
        self.evaluations += sum(isinstance(call.call, (Denoise, DenoiseGrad)) for call in batch)
        if batch[0].call.batched:
            self._knee.record(batch[0].key, rows, seconds)
        for call in batch:
            share = seconds * call.rows / rows
            call.running.seconds += share
            self.fairness.charge(call.running.ticket.client, share)

    def _fly(self, call: Pending, work: Callable[[], Any] | None) -> None:
        assert work is not None
        future = self._pool.submit(work)
        self.flying[future] = call
        future.add_done_callback(lambda done: self._posts.put(partial(self._land, done)))

    def _land(self, done: Future[Any]) -> None:
        call = self.flying.pop(done)
        self._resumer.clean("a host function")
        if done.cancelled():
            return
        fault = done.exception()
        if fault is None:
            self._replies.reply(call, done.result())
        else:
            self._replies.fault(call, explained_call(call, fault))

    def working(self) -> list[Running]:
        """The jobs whose work runs on the pool now."""
        return [call.running for call in self.flying.values()]


def explained_call(call: Pending, fault: BaseException) -> GessoError:
    """What a failed call is thrown as: always an error that can be shown. The log gets the traceback of what was not foreseen."""
    if isinstance(fault, GessoError):
        return fault
    ticket, kind = call.running.ticket, type(call.call).__name__
    _log.error("a call %s of job %s failed", kind, ticket.job, exc_info=fault)
    if isinstance(fault, OUT_OF_MEMORY):
        return out_of_memory(f"a {kind} of {ticket.title}")
    said = f"{type(fault).__name__}: {shortened(fault)}"
    if isinstance(call.call, Host):
        name = getattr(call.call.function, "__qualname__", "a function")
        return PluginError(f"The function {name!r} of {ticket.title} failed with {said}", details={"plugin": ticket.plugin})
    return ModelError(f"The model failed in a {kind} of {ticket.title} with {said}")
