"""Live painting: while somebody paints, what the region becomes is shown beside it. On Krita's own thread it reads one strip a tick and
hands over; everything else is done by the session's threads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gesso.errors import InvalidRequest

from ..panel.form import Form
from ..panel.session import Options
from ..panel.task import Task
from . import documents, orders
from .boxes import Box
from .composed import LEAVES, Without
from .controller import Controller
from .frames import Frames
from .modes import TITLES
from .orders import Wanted
from .pngfile import Png
from .qt import QtCore, Signal
from .strips import TICK_MS, Strips, pause

MOST_PIXELS = 2048 * 2048
"""A larger region would take longer to look through than anybody wants to wait."""


class Live(QtCore.QObject):
    """``shown``: a task's picture is there; ``stopped``: a sentence says why, or is empty."""

    shown = Signal(object)
    stopped = Signal(str)

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.times: deque[tuple[float, float]] = deque(maxlen=4096)
        """What each tick took on Krita's thread: seconds by the clock, and of the processor."""
        self.last: Task | None = None
        self._strips: Strips | None = None
        self._without: Without | None = None
        self._task: Task | None = None
        self._document: Any = None
        self._frames = Frames()
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.tick)
        controller.moved.connect(self._moved)
        controller.closing.connect(self.stop)

    @property
    def running(self) -> bool:
        """Whether it looks at a document."""
        return bool(self._timer.isActive())

    def start(self, form: Form, values: Mapping[str, Any], wanted: Wanted) -> None:
        """Follow what is selected in the active document (the whole, where nothing is). Control layers, regions and which layers are left
        out stay as they are now. Raises InvalidRequest.
        """
        document = self.controller.document
        if not orders.paints_regions(form):
            hint = f"Choose {TITLES['edit:inpaint']} or {TITLES['edit:refine']}, for instance."
            raise InvalidRequest(f"Live painting paints what is selected, and {form.title} does not.", hint=hint)
        order = orders.order(form, {**values, "count": 1}, document, replace(wanted, beyond="inside"))
        box = Box(*order.memo["box"])
        if box.width * box.height > MOST_PIXELS:
            raise InvalidRequest("The region is too large to be followed live.", hint="Select at most 2048 x 2048 pixels.")
        self._order, self._document = order, document
        self._file = Png(box.width, box.height, documents.depth(document))
        self._frames, self._task = Frames(), None
        self._strips = Strips(box, self._read, self._converted)
        if documents.shown(document, wanted.hidden):
            self._without = Without(document, wanted.hidden, box.width, self._strips.boxes[0].height, LEAVES)
        self.times.clear()
        self._timer.start(TICK_MS)

    def stop(self, why: str = "") -> None:
        """Follow it no longer; the frame under way is cancelled."""
        self._timer.stop()
        if self._strips is not None and self._task is not None and not self._task.ended:
            self.controller.session.cancel(self._task)
        self._strips = None
        if self._without is not None:
            self._without.close()
            self._without = None
        self.stopped.emit(why)

    def tick(self) -> None:
        """One strip, and a decision. This is all that live painting does on Krita's thread."""
        strips = self._strips
        if strips is None:
            return
        began = time.perf_counter(), time.thread_time()
        try:
            strips.tick()
        except ValueError:
            self.stop("The document was closed, or has another size or depth now: live painting has stopped.")
            return
        if strips.complete:
            self._decide(strips)
        took = time.perf_counter() - began[0]
        self.times.append((took, time.thread_time() - began[1]))
        if pause(took) != self._timer.interval():
            self._timer.setInterval(pause(took))

    def _decide(self, strips: Strips) -> None:
        mark = strips.mark
        wish = self._frames.wants(mark, 0.0 if self._task is None else self._task.fraction)
        if wish == "send":
            self._frames.began(mark)
            parts, file = list(strips.data), self._file
            params = {**self._order.params, "image": lambda: file.file(parts)}
            memo = {**self._order.memo, "live": True}
            self._task = self.controller.session.submit(self._order.operation, params, Options(output="raw"), **memo)
        elif wish == "cancel" and self._task is not None:
            self._frames.gave_up()
            self.controller.session.cancel(self._task)

    def _read(self, box: Box) -> bytes:
        data = self._without.read(box) if self._without else bytes(self._document.pixelData(box.x, box.y, box.width, box.height))
        if not data or documents.depth(self._document) != self._file.depth:
            raise ValueError("there is no such document any more")
        return data

    def _converted(self, box: Box, data: bytes) -> bytes:
        """Krita's own colour management has to run on Krita's thread: a strip at a time."""
        return bytes(documents.converted(self._document, data, box).data)

    def _moved(self, task: Task) -> None:
        if not task.memo.get("live"):
            return
        if task is self._task and task.ended and self._strips is not None:
            self._frames.ended()
            if task.state == "failed" and task.error is not None:
                self.controller.tell(task.error)
                self.stop("")
        if task.state == "done":
            self._forget(self.last)
            self.last = task
            self.shown.emit(task)
        elif task.ended:
            self._forget(task)

    def apply(self) -> None:
        """Add the newest picture as a layer; its job is kept."""
        if self.last is not None:
            self.last.memo["kept"] = True
            self.controller.apply(self.last)

    def _forget(self, task: Task | None) -> None:
        """Frames that nobody will see again take no room at the daemon."""
        if task is not None and not task.memo.get("kept"):
            self.controller.session.forget(task)
            job = task.job
            if job is not None:
                self.controller.session.ask(lambda client: client.forget(job), lambda _: None)
