"""Joins the shared session with Krita: one for the whole program, behind every docker and action. It draws nothing.

The session's threads only emit a signal; Krita and Qt are touched on Krita's own thread alone.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from krita import Krita

from gesso.client import Client
from gesso.errors import GessoError, InvalidRequest

from ..panel.form import Form
from ..panel.history import History
from ..panel.report import log_path, report
from ..panel.session import Options, Session
from ..panel.steps import EXAMPLE, Step, first_steps
from ..panel.task import Task
from . import documents, orders, placing
from .memory import Memory, listed
from .orders import Order, Wanted
from .qt import QtCore, Signal
from .thumbnails import Thumbnails

NAME = "krita"
MOST = 1000
"""Jobs of all programs that the daemon is asked for, to find ours among them."""


class Controller(QtCore.QObject):
    """``changed``: state, schemas or lists are new; ``moved``: one task is; ``said``: a sentence for the user (kind, sentence, detail);
    ``closing``: Krita quits.
    """

    changed = Signal()
    closing = Signal()
    moved = Signal(object)
    said = Signal(str, str, str)
    _woken = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._woken.connect(self._poll)
        self.session = Session(NAME, wake=self._woken.emit, digest=placing.digest)
        self.history = History(NAME, self.session.home)
        self.memory = Memory(self.session.home)
        self.thumbnails = Thumbnails(self.session)
        self.apply_at_once = True
        self.earlier: list[Mapping[str, Any]] = []
        self._seen: tuple[Any, ...] = ()
        self.session.connect()

    @property
    def krita(self) -> Any:
        """Krita itself."""
        return Krita.instance()

    @property
    def document(self) -> Any | None:
        """The active document; None where none is open (Krita's own answer to that is not to be trusted)."""
        return self.krita.activeDocument() if self.krita.documents() else None

    @property
    def wrapped(self) -> bool:
        """Whether the active view is in wrap-around mode."""
        window = self.krita.activeWindow()
        view = None if window is None or not self.krita.documents() else window.activeView()
        return view is not None and bool(view.canvas().wrapAroundMode())

    def close(self) -> None:
        """Krita quits. Jobs go on, and are found again at the next start."""
        self.closing.emit()
        self.session.close()

    def forms(self) -> dict[str, Form]:
        """The operations that make pictures: those that paint regions first."""
        surface = self.session.surface
        found = {} if surface is None else {name: form for name, form in surface.forms.items() if _makes_pictures(form)}
        return dict(sorted(found.items(), key=lambda entry: not orders.paints_regions(entry[1])))

    def steps(self) -> list[Step]:
        """The three steps of a first run."""
        return first_steps(self.session, bool(self.memory.jobs))

    def submit(self, form: Form, values: Mapping[str, Any], wanted: Wanted) -> Task | None:
        """Make an order of what is set and shown now, and give it to the daemon; what is wrong is said."""
        try:
            made = orders.order(form, values, self.document, wanted)
        except InvalidRequest as fault:
            self.tell(fault)
            return None
        made.memo["wanted"] = wanted.kept()
        return self.send(made)

    def send(self, made: Order, options: Options | None = None) -> Task:
        """Give an order to the daemon."""
        self.history.add(str(made.params.get("prompt") or ""))
        task = self.session.submit(made.operation, made.params, options or Options(output="raw"), **made.memo, notices=made.notices)
        self.moved.emit(task)
        return task

    def example(self) -> Task:
        """The first picture, with what ships; without a document it is opened as one."""
        return self.send(Order("generate", {"prompt": EXAMPLE, "model": "procedural"}, {"name": EXAMPLE, "fresh": True}, []))

    def cancel(self, task: Task) -> None:
        """Ask for its end."""
        self.session.cancel(task)
        self.moved.emit(task)

    def discard(self, task: Task) -> None:
        """Forget a task that has ended, with its pictures; cancel one that has not."""
        if not task.ended:
            self.cancel(task)
            return
        self.session.forget(task)
        if task.job is not None:
            job = task.job
            self.memory.forget(job)
            self.session.ask(lambda client: client.forget(job), self._answered)
        self.changed.emit()

    def favour(self, task: Task, favourite: bool) -> None:
        """Keep a job and its pictures whatever their age, or no longer."""
        task.memo["favourite"] = favourite
        if task.job is not None:
            job = task.job
            self.memory.keep(job, task.memo)
            self.session.ask(lambda client: client.pin(job, favourite), self._answered)
        self.moved.emit(task)

    def apply(self, task: Task, anywhere: bool = True) -> None:
        """Add a task's pictures to its document."""
        if task.result is None or not task.result.images:
            return
        try:
            if task.memo.get("fresh") and self.document is None:
                image = task.result.images[0]
                fresh = self.krita.createDocument(image.width, image.height, "Gesso", "RGBA", "U8", documents.SRGB, 72.0)
                self.krita.activeWindow().addView(fresh)
                task.memo.update(document=documents.identity(fresh))
            sentence = placing.apply(self.krita, task, anywhere=anywhere)
        except placing.Homeless as fault:
            self.said.emit("notice", str(fault), "")
            return
        task.memo["applied"] = True
        notices = [*task.memo.get("notices", ()), *task.notices]
        self.said.emit("notice" if notices else "done", " ".join([sentence, *notices]), "")
        self.moved.emit(task)

    def recall(self, job: str, operation: str) -> None:
        """Bring a job of an earlier run back, with its pictures."""
        if not any(task.job == job for task in self.session.tasks.values()):
            self.moved.emit(self.session.attach(job, operation, **self.remembered(job), recalled=True))

    def remembered(self, job: str) -> dict[str, Any]:
        """What is known of a job of an earlier run; the daemon knows what is a favourite, whoever said so."""
        pinned = any(earlier["job"] == job and earlier.get("pinned") for earlier in self.earlier)
        return {**self.memory.jobs.get(job, {}), "favourite": pinned}

    def list_earlier(self) -> None:
        """Ask the daemon for the jobs that it keeps of this program."""

        def ask(client: Client) -> list[Mapping[str, Any]]:
            return listed(client.jobs(MOST, ["done"]), NAME)

        def take(found: Any) -> None:
            if not isinstance(found, GessoError):
                self.earlier = found
                self.thumbnails.keep_only([str(job["job"]) for job in found])
                self.changed.emit()

        self.session.ask(ask, take)

    def tell(self, fault: GessoError) -> None:
        """Show an error, with what there is to copy."""
        detail = f"{fault.message}\n{fault.hint or ''}\ncode: {fault.code}" + (f"\nfield: {fault.field}" if fault.field else "")
        self.said.emit("error", fault.message + (f" {fault.hint}" if fault.hint else ""), detail)

    def report(self) -> str:
        """A text to copy into an issue."""
        return report(self.session, {"Krita": self.krita.version(), "system": platform.platform()})

    def log(self) -> str:
        """Where the daemon's log is."""
        return str(log_path(self.session.home))

    def locate(self, program: str) -> None:
        """The user says where the program `gesso` is."""
        os.environ["GESSO_COMMAND"] = program
        self.session.fix("start")

    def _answered(self, found: Any) -> None:
        if isinstance(found, GessoError):
            self.tell(found)

    def _poll(self) -> None:
        moved = self.session.poll()
        for task in moved:
            if task.job is not None and task.memo and not task.memo.get("live"):
                self.memory.keep(task.job, task.memo)
            if task.ended and not task.memo.get("live") and not task.memo.get("told"):
                self._ended(task)
            self.moved.emit(task)
        session = self.session
        seen = (session.state, session.surface, session.status.get("models") and len(session.status["models"]), session.suspended)
        if seen != self._seen:
            came = session.state.connected and not (self._seen and self._seen[0].connected)
            self._seen = seen
            self.changed.emit()
            if came:
                self.list_earlier()

    def _ended(self, task: Task) -> None:
        task.memo["told"] = True
        if task.error is not None:
            self.tell(task.error)
        elif task.state == "done" and self.apply_at_once and not task.memo.get("recalled"):
            self.apply(task, anywhere=False)


def _makes_pictures(form: Form) -> bool:
    """Whether a docker has a use for the operation: words or a picture go in, and a picture comes out."""
    return "seed" in form or (bool(form.of_kind("image")) and "limit" not in form)
