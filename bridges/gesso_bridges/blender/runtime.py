# SPDX-License-Identifier: GPL-3.0-or-later
"""The one session of this Blender, and the timer that takes in what happened. It outlives files, undo and the daemon; it never waits.

Between ticks nothing of Blender's is held but names: undo and loading a file free what references point to.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Generator, List, Mapping, Optional, Tuple

import bpy

from gesso.errors import GessoError, InvalidRequest

from ..panel import form

if TYPE_CHECKING:  # the client is imported on a thread, after Blender has come up: see `prepare`
    from ..panel.history import History
    from ..panel.session import Session
    from ..panel.task import Task
    from .unfinished import Unfinished

PLACING_SECONDS, BUSY_SECONDS, IDLE_SECONDS = 0.02, 0.1, 0.5
_SHIPPED = Path(__file__).parent.parent / "operations.json"
_KEPT_TICKS = 4096


@dataclass
class Placing:
    """A result on its way into a file; ``loads``: which file that is."""

    task: Task
    steps: Generator[float, None, str]
    loads: int
    fraction: float = 0.0


class Runtime:
    """``session`` is made when it is first needed, so that turning the add-on on costs next to nothing."""

    def __init__(self) -> None:
        self.shipped: Mapping[str, Any] = json.loads(_SHIPPED.read_text(encoding="utf-8"))
        self.surface = form.parse(self.shipped)
        self.on_surface: Callable[[], None] = lambda: None
        self.messages: Dict[int, str] = {}
        self.loads = 0
        self.made_before = False
        self.ticks: Deque[Tuple[float, bool]] = deque(maxlen=_KEPT_TICKS)
        self.watching = False
        self.lent = self.returning = False
        self.ready = False
        self._session: Optional[Session] = None
        self._history: Optional[History] = None
        self._unfinished: Optional[Unfinished] = None
        self._document: Mapping[str, Any] = {}
        self._ended: Deque[Task] = deque()
        self._placing: Deque[Placing] = deque()
        self._over: Tuple[Optional[str], ...] = ()

    @property
    def session(self) -> Session:
        """The connection; asking for it connects nothing yet."""
        if self._session is None:
            from ..panel.session import Session

            self._session = Session(f"Blender {bpy.app.version_string}", start=True)
        return self._session

    def prepare(self) -> None:
        """Import the client aside: it takes longer than a host may stand still."""

        def load() -> None:
            from ..panel import report, session, steps  # noqa: F401
            from . import results, unfinished  # noqa: F401 - and with them the client

            self.ready = True

        threading.Thread(target=load, name="gesso-import", daemon=True).start()

    @property
    def begun(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def history(self) -> History:
        """The prompts that were sent from Blender."""
        if self._history is None:
            from gesso.wire.home import Home

            from ..panel.history import History

            self._history = History("blender", Home.find())
        return self._history

    @property
    def unfinished(self) -> Unfinished:
        """The open jobs, for the Blender that comes after this one."""
        if self._unfinished is None:
            from .unfinished import Unfinished

            self._unfinished = Unfinished(self.session.home)
        return self._unfinished

    @property
    def open_tasks(self) -> List[Task]:
        """What has not ended, or is on its way into the file, the newest last."""
        tasks = [] if self._session is None else list(self._session.tasks.values())
        return [task for task in tasks if not task.ended or self.placing(task) is not None]

    def placing(self, task: Task) -> Optional[Placing]:
        """Where its result is on its way into the file: how far that is. What lacks only its undo step is there."""
        return next((placing for placing in self._placing if placing.task is task and placing.fraction < 1), None)

    def cancel(self, number: int = -1) -> bool:
        """The job of this number, else the newest: at the daemon, or on its way into the file, which then has nothing of it. Whether there
        was one.
        """
        for task in reversed(self.open_tasks):
            placing = self.placing(task)
            if number not in (-1, task.number) or task.cancelling:
                continue
            if placing is None:
                self.session.cancel(task)
            else:
                placing.steps.close()
                self._placing.remove(placing)
                self.messages[task.number] = "Stopped."
            return True
        return False

    @property
    def waiting(self) -> List[Task]:
        """Results that are in no file yet, the newest last."""
        tasks = [] if self._session is None else list(self._session.tasks.values())
        return [task for task in tasks if task.state == "done" and "made" not in task.memo and self.placing(task) is None]

    def close(self) -> None:
        """Blender leaves, or the add-on is turned off; jobs go on, but nothing that is on its way into a file."""
        for placing in self._placing:
            placing.steps.close()
        if self._session is not None:
            self._session.close()

    def submit(self, operation: str, params: Mapping[str, Any], **memo: Any) -> Task:
        """Check and send; raises InvalidRequest with the parameter at fault."""
        if operation not in self.surface.forms:
            raise InvalidRequest(f"There is no operation {operation!r}.", hint="Turn the plugin on that has it, or choose another.")
        checked = self.surface.forms[operation].params(params)
        if checked.get("prompt"):
            self.history.add(str(checked["prompt"]))
        return self.session.submit(operation, checked, loads=self.loads, **memo)

    def connect_first(self) -> None:
        """Look for the daemon, and follow again what a Blender that is gone had asked for; its results wait to be placed."""
        self.session.connect()
        for job, entry in self.unfinished.inherit().items():
            memo = dict(entry)
            self.session.attach(job, memo.pop("operation"), **memo)

    def forget(self, task: Task) -> None:
        """Take a task that has ended off the list; its result is not asked for again."""
        self.session.forget(task)
        self._drop(task)

    def tick(self) -> float:
        """Called by Blender's timer. Exceptions would end the timer, and with it the panel: none leaves."""
        if self._session is None:
            return IDLE_SECONDS
        began = time.perf_counter()
        if self.returning and not bpy.app.is_job_running("RENDER"):
            self.take_back()
        state, handed = self._session.state, False
        changed = self._session.poll()
        for task in changed:
            if task.job is not None and not task.ended:
                self.unfinished.keep(task.job, {"operation": task.operation, **task.memo})
        self._ended.extend(task for task in changed if task.ended)
        self.take_surface()
        if self._placing:
            handed = self.place()
        elif self._ended:
            handed = self.settle(self._ended.popleft())
        elif not changed:
            handed = self._show_one()
        if changed or handed or state is not self._session.state:
            redraw(views=self._previews_moved())
        self.ticks.append((time.perf_counter() - began, handed))
        if self._placing and handed:
            return PLACING_SECONDS
        return BUSY_SECONDS if self.open_tasks or self._ended or handed or not self._session.state.connected else IDLE_SECONDS

    def take_back(self) -> None:
        """A render has ended: the device is the daemon's again. Not while Blender still puts the render away, on a thread of its own."""
        self.lent = self.returning = False
        self.session.resume()

    def _previews_moved(self) -> bool:
        """Whether what is drawn over the 3D views is out of date."""
        from . import overlay

        before, self._over = self._over, overlay.wanted(self.open_tasks)
        return before != self._over

    def _show_one(self) -> bool:
        """One preview a tick, once there is nothing else to do; whether there was one."""
        for task in self.session.tasks.values():
            if task.memo.get("unseen"):
                from . import results

                return results.show_one(task)
        return False

    def settle(self, task: Task, here: bool = False) -> bool:
        """A task has ended: put its result where it belongs. Whether anything was handed over. ``here``: into whatever file is open."""
        if task.state != "done":
            self.messages[task.number] = task.words
            if "projection" in task.memo:
                from . import projection

                projection.discard(task.memo["projection"])
            self._drop(task)
            return False
        if not here and "save" not in task.memo and task.memo.get("loads") != self.loads:
            asked = "for a file that is no longer open" if "loads" in task.memo else "before Blender was closed"
            self.messages[task.number] = f"Made {asked}."
            return False
        from . import results

        self.messages.pop(task.number, None)
        self._placing.append(Placing(task, results.apply(task), self.loads))
        self.place()
        return True

    def place(self) -> bool:
        """One step of a result's way into the file; whether that brought it further: a render goes first, and another Blender may work."""
        if bpy.app.is_job_running("RENDER"):
            return False
        placing = self._placing[0]
        task = placing.task
        try:
            if placing.loads != self.loads:
                placing.steps.close()
                raise GessoError("it was made for a file that is no longer open.")
            before, placing.fraction = placing.fraction, next(placing.steps)
            return placing.fraction != before
        except StopIteration as end:
            self.messages[task.number] = end.value
            self.made_before = True
            self._drop(task)
        except GessoError as fault:
            self.messages[task.number] = f"The result could not be used: {fault}"
        except Exception as fault:
            traceback.print_exc()
            self.messages[task.number] = f"The result could not be used: {fault}"
        self._placing.remove(placing)
        return True

    def _drop(self, task: Task) -> None:
        if task.job is not None and self._unfinished is not None:
            self._unfinished.drop(task.job)

    def wait(self, task: Task) -> Task:
        """Without a window: until it has ended and its result is in its place; raises the job's error, or why the place would not do."""
        self.session.wait(task)
        if task.error is not None:
            raise task.error
        self.settle(task)
        while self._placing:
            if not self.place():
                time.sleep(PLACING_SECONDS)
        if task.state == "done" and "made" not in task.memo:
            raise GessoError(self.messages[task.number])
        return task

    def take_surface(self) -> None:
        """The daemon's schemas in the place of those that ship. Never while an operator made from a schema runs: its class goes."""
        document = self.session.document
        if document is self._document or self.session.surface is None:
            return
        changed = document != self._document
        self._document = document
        if changed:
            self.surface = self.session.surface
            self.on_surface()

    def connect(self, fix: str) -> None:
        """Without a window: mend the state, and return when that is done."""
        self.session.fix(fix)
        before = self.session.state
        while self.session.state is before or self.session.state.name in ("looking", "starting"):
            self.session.poll()
            time.sleep(0.01)
        self.take_surface()


def redraw(views: bool = False) -> None:
    """The sidebars with our panels; ``views``: what the 3D views show as well, which are rendered anew."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "IMAGE_EDITOR"):
                for region in area.regions:
                    if region.type == "UI" or (views and region.type == "WINDOW" and area.type == "VIEW_3D"):
                        region.tag_redraw()


_runtime: Optional[Runtime] = None


def current() -> Runtime:
    """The runtime between `begin` and `end`."""
    if _runtime is None:
        raise GessoError("The Gesso add-on is turned off.")
    return _runtime


def begin() -> Runtime:
    """The add-on is turned on."""
    global _runtime  # noqa: PLW0603 - Blender's classes find it by nothing else
    _runtime = Runtime()
    return _runtime


def end() -> None:
    """The add-on is turned off."""
    global _runtime  # noqa: PLW0603
    if _runtime is not None:
        _runtime.close()
    _runtime = None
