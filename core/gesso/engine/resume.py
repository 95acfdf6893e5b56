"""Resumes and closes generators; plugin code runs nowhere else. What it does comes back as a value, and the ambient state is put back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gesso.engine.calls import CallError, Emit
from gesso.engine.guard import Ambient
from gesso.engine.task import Task, Ticket
from gesso.errors import GessoError, LeakedState, OutOfMemory, PluginError

_log = logging.getLogger(__name__)
_EMITS = 64
"""Events a generator may emit before others get their turn."""
_CLOSES = 3
OUT_OF_MEMORY = (MemoryError, torch.OutOfMemoryError)


@dataclass(frozen=True)
class Yielded:
    """The generator asks for something."""

    item: object


@dataclass(frozen=True)
class Returned:
    """The generator came to its end."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The generator failed."""

    fault: BaseException


@dataclass(frozen=True)
class Leaked:
    """The generator left ambient state changed; its job must end."""

    error: LeakedState


Outcome = Yielded | Returned | Raised | Leaked


class Resumer:
    """``emit(task, event)`` is called for each `Emit`. ``shared()``: whether other threads run plugin code now (nobody can be blamed
    for global random numbers then; they are put back all the same).
    """

    def __init__(self, emit: Callable[[Task, Emit], None], shared: Callable[[], bool]) -> None:
        self._emit = emit
        self._shared = shared
        self.ambient = Ambient()

    def resume(self, task: Task, value: Any, fault: BaseException | None) -> Outcome:
        """Send a value or throw a fault in; runs on until the generator asks for something, ends or fails."""
        with self.ambient.within():
            outcome = self._advance(task, value, fault)
            leaks = self.ambient.leaks()
        if not leaks:
            return outcome
        if self._shared() and all("random" in leak for leak in leaks):
            _log.warning("%s changed while host functions ran beside job %s", " and ".join(leaks), task.running.ticket.job)
            self.restore()
            return outcome
        return Leaked(leaked(task.running.ticket, leaks))

    def close(self, tasks: Sequence[Task]) -> None:
        """Close generators, in this order; what they do wrong is logged and contained."""
        with self.ambient.within():
            for task in tasks:
                _close(task)
            dirty = bool(self.ambient.leaks())
        if dirty:
            self.restore()

    def restore(self) -> None:
        """Put the ambient state back."""
        with self.ambient.within():
            self.ambient.restore()

    def clean(self, what: str) -> None:
        """After work that is not a generator's: put back what it changed, and say so in the log."""
        with self.ambient.within():
            leaks = self.ambient.leaks()
            if leaks:
                self.ambient.restore()
                _log.info("%s changed %s; put back", what, " and ".join(leaks))

    def _advance(self, task: Task, value: Any, fault: BaseException | None) -> Outcome:
        generator = task.generator
        assert generator is not None
        try:
            item = generator.send(value) if fault is None else generator.throw(fault)
            for _ in range(_EMITS):
                if not isinstance(item, Emit):
                    break
                self._emit(task, item)
                item = generator.send(None)
        except StopIteration as end:
            return Returned(end.value)
        except KeyboardInterrupt:
            raise
        except BaseException as broken:
            return Raised(broken)
        return Yielded(item)


def _close(task: Task) -> None:
    assert task.generator is not None
    for _ in range(_CLOSES):
        try:
            task.generator.close()
        except KeyboardInterrupt:
            raise
        except BaseException:
            _log.exception("%s of job %s failed while it was closed", task.running.ticket.title, task.running.ticket.job)
        else:
            return


def leaked(ticket: Ticket, leaks: list[str]) -> LeakedState:
    """The error for a job that changed ambient state."""
    what = " and ".join(leaks)
    return LeakedState(
        f"{_upper(ticket.title)} changed {what} and left it changed; the job was stopped and the state put back.",
        hint="Samplers and operations take their random numbers from the noise they are given, and hold no torch context across a yield.",
        details={"leaks": leaks, "plugin": ticket.plugin},
    )


def explained(fault: BaseException, ticket: Ticket) -> GessoError:
    """The error a job ends with, whatever was raised. Only the log gets the traceback of what was not foreseen."""
    if isinstance(fault, CallError):
        fault = fault.cause
    if isinstance(fault, GessoError):
        return fault
    _log.error("%s of job %s failed", ticket.title, ticket.job, exc_info=fault)
    if isinstance(fault, OUT_OF_MEMORY):
        return out_of_memory(ticket.title)
    return PluginError(f"{_upper(ticket.title)} failed with {type(fault).__name__}: {shortened(fault)}", details={"plugin": ticket.plugin})


def out_of_memory(what: str) -> OutOfMemory:
    """The error for work that did not fit."""
    return OutOfMemory(f"There was not enough memory for {what}.", hint="Ask for a smaller size or fewer images, or use a smaller model.")


def shortened(fault: BaseException) -> str:
    """An exception's text on one line."""
    text = " ".join(str(fault).split()).rstrip(".")
    return f"{text[:200]}..." if len(text) > 200 else f"{text or 'no message'}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
