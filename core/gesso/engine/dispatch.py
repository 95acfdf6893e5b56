"""Gives calls their turn on the device: gathers those that may share a forward, runs them, and charges who asked."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from gesso.engine.batching import Knee
from gesso.engine.calls import Apply, Decode, Denoise, DenoiseGrad, EncodeImage, EncodeText, Host, NextTokens
from gesso.engine.fairness import Fairness
from gesso.engine.forward import Forward, Models, TextCache, belongs_on_pool
from gesso.engine.hosting import Hosting, Outcomes, Pool
from gesso.engine.kernels import Kernels, choices
from gesso.engine.resume import OUT_OF_MEMORY, Resumer, out_of_memory, shortened
from gesso.engine.task import Pending, Running
from gesso.errors import GessoError, ModelError, PluginError

_log = logging.getLogger(__name__)
_TUNED = (Denoise, NextTokens, Decode, EncodeImage)
"""Calls whose threads and kernels adapt in `fast`. Not `EncodeText`: jobs of `exact` share its cache."""


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
    """The calls that wait for the device (``pending``), and those of the thread pool (``hosting``)."""

    def __init__(self, models: Models, pool: Pool, resumer: Resumer, outcomes: Outcomes, threads: Sequence[int] = ()) -> None:
        self.pending: list[Pending] = []
        self.hosting = Hosting(models, pool, resumer, outcomes)
        self.forwards = 0
        self.evaluations = 0
        self._texts = TextCache()
        self._fairness = Fairness()
        self._models = models
        self._resumer = resumer
        self._outcomes = outcomes
        self._forward = Forward(models, self._texts)
        self._knee = Knee()
        self._kernels = Kernels(choices(models.device, threads))

    def add(self, call: Pending) -> None:
        """Take a call in."""
        if self.hosting.takes(call.call):
            self.hosting.add(call)
        else:
            self.pending.append(call)

    @property
    def ready(self) -> bool:
        """Whether there is something to run."""
        return self.hosting.ready or any(not call.running.paused for call in self.pending)

    def held(self, call: EncodeText) -> Any:
        """The reply to a call whose embeddings are all cached, or None."""
        return self._texts.all(call)

    def drop_closed(self) -> None:
        """Forget the calls of closed generators."""
        self.pending = [call for call in self.pending if not call.task.closed]
        self.hosting.drop_closed()

    def release(self, running: Running) -> None:
        """The job has ended: let go of what was kept for it."""
        self._forward.sequences.forget(running)

    def forget(self, client: str) -> None:
        """The client has no job any more."""
        self._fairness.forget(client)
        self.hosting.fairness.forget(client)

    def next_batch(self) -> list[Pending]:
        """Take out the calls that run next: one, or in `fast` several of equal key up to the knee."""
        waiting = self._fairness.order([call for call in self.pending if not call.task.running.paused])
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
        self.pending = [call for call in self.pending if call not in batch] if len(self.pending) > 1 else []
        return batch

    def run(self, batch: Sequence[Pending], clock: Callable[[], float]) -> None:
        """Run calls of one key together; where that fails, each by itself, so that only the guilty one gets the error."""
        first = batch[0]
        tuned = first.running.ticket.level == "fast" and isinstance(first.call, _TUNED)
        rows = sum([call.rows for call in batch])
        choice = self._kernels.pick(first.key, rows) if tuned else None
        started = clock()
        try:
            with choice.applied() if choice is not None else nullcontext():
                replies = self._run(batch)
        except Exception as fault:
            self._failed(batch, fault, clock)
            return
        if replies is not None:
            seconds = clock() - started
            settled = choice is None or self._kernels.settled(first.key, rows, choice)
            if choice is not None:
                self._kernels.record(first.key, rows, choice, seconds)
            self._charge(batch, seconds, settled)
            for call, reply in zip(batch, replies, strict=True):
                self._outcomes.reply(call, reply)

    def _run(self, batch: Sequence[Pending]) -> list[Any] | None:
        """The replies, or None where the call goes to the thread pool."""
        calls, owners = [pending.call for pending in batch], [pending.running for pending in batch]
        with self._resumer.ambient.within():
            if isinstance(calls[0], Apply) and belongs_on_pool(self._models, calls[0]):
                self.hosting.learn(calls[0])
                self.hosting.add(batch[0])
                return None
            try:
                return self._forward.run(calls, owners)
            except OUT_OF_MEMORY:
                if len(batch) > 1 or self._make_room() == 0:
                    raise
            return self._forward.run(calls, owners)

    def _make_room(self) -> int:
        return self._forward.sequences.make_room() + self._models.make_room()

    def _failed(self, batch: Sequence[Pending], fault: Exception, clock: Callable[[], float]) -> None:
        if isinstance(fault, OUT_OF_MEMORY):
            self._knee.lower(batch[0].key, sum(call.rows for call in batch))
            self._make_room()
        if len(batch) > 1:
            for call in batch:
                self._resumer.clean("a call that failed")
                self.run([call], clock)
        else:
            self._outcomes.fault(batch[0], fault)

    def _charge(self, batch: Sequence[Pending], seconds: float, settled: bool) -> None:
        rows = sum([call.rows for call in batch]) or 1
        self.forwards += 1
        if isinstance(batch[0].call, (Denoise, DenoiseGrad, NextTokens)):
            self.evaluations += len(batch)
        if batch[0].call.batched and settled:
            self._knee.record(batch[0].key, rows, seconds)
        for call in batch:
            share, running = seconds * call.rows / rows, call.task.running
            running.seconds += share
            self._fairness.charge(running.ticket.client, share)


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
