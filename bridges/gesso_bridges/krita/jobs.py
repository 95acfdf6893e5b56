"""The list of jobs in the docker: a row each with its newest preview, how far it is, and what can be done with its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..panel.task import Task
from .controller import Controller
from .qt import QtCore, QtGui, QtWidgets
from .thumbnails import SIDE, Asking, of_task

_TASK = QtCore.Qt.ItemDataRole.UserRole
_JOB = int(QtCore.Qt.ItemDataRole.UserRole) + 1
Titled = Callable[[str, Mapping[str, Any], Mapping[str, Any]], str]


class Jobs(QtWidgets.QWidget):
    """Newest first; below them the jobs of earlier runs that the daemon keeps. ``titled``: an operation in words, by
    its parameters and what is remembered of the job.
    """

    def __init__(self, controller: Controller, reuse: Callable[[Task], None], titled: Titled) -> None:
        super().__init__()
        self.controller, self._reuse, self._title = controller, reuse, titled
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self.list = QtWidgets.QListWidget()
        self.list.setObjectName("gesso_jobs")
        self.list.setAccessibleName("Jobs and results")
        self.list.setIconSize(QtCore.QSize(SIDE, SIDE))
        self.list.setMinimumHeight(72)
        self.list.setWordWrap(True)
        self.list.setItemDelegate(Asking(self._ask, self.list))
        rows.addWidget(self.list, 1)
        line = QtWidgets.QHBoxLayout()
        self.buttons = {}
        for name, title, tip, call in (
            ("apply", "Apply", "Add the pictures as layers", self.apply),
            ("reuse", "Reuse", "Take over its settings, the seed included", self.reuse),
            ("favourite", "Favourite", "Keep it whatever its age", self.favour),
            ("discard", "Discard", "Cancel it, or forget its pictures", self.discard),
        ):
            button = QtWidgets.QPushButton(title)
            button.setObjectName(f"gesso_{name}")
            button.setToolTip(tip)
            button.clicked.connect(lambda *_, call=call: call())
            self.buttons[name] = button
            line.addWidget(button)
        rows.addLayout(line)
        self.list.itemActivated.connect(self._activated)
        self.list.currentItemChanged.connect(lambda *_: self._tell())
        controller.moved.connect(self.show_task)
        controller.changed.connect(self.refresh)
        controller.thumbnails.came.connect(self._show_earlier)
        self.refresh()

    @property
    def task(self) -> Task | None:
        """The chosen one, else the newest."""
        item = self.list.currentItem() or self.list.item(0)
        number = None if item is None else item.data(_TASK)
        return None if number is None else self.controller.session.tasks.get(number)

    def refresh(self) -> None:
        """Bring the rows in line with the tasks and with what the daemon keeps."""
        tasks = self.controller.session.tasks
        for place in reversed(range(self.list.count())):
            item = self.list.item(place)
            if item.data(_JOB) is not None or item.data(_TASK) not in tasks:
                self.list.takeItem(place)
        for task in list(tasks.values()):
            self.show_task(task)
        shown = {task.job for task in tasks.values()}
        for job in self.controller.earlier:
            if job["job"] not in shown:
                memo = self.controller.remembered(job["job"])
                item = QtWidgets.QListWidgetItem(_row(memo, self._title(job["operation"], {}, memo), "earlier, open it to bring it back"))
                item.setData(_JOB, job["job"])
                item.setIcon(self.controller.thumbnails.icon(job["job"]))
                self.list.addItem(item)
        self._tell()

    def show_task(self, task: Task) -> None:
        """One row anew."""
        if task.memo.get("live"):
            return
        item = self._item(task)
        applied = ", applied" if task.memo.get("applied") else ""
        item.setText(_row(task.memo, self._title(task.operation, task.params, task.memo), f"{task.words}{applied}"))
        picture = of_task(task, SIDE)
        if picture is not None:
            item.setIcon(QtGui.QIcon(picture))
        elif task.memo.get("recalled"):
            item.setIcon(self.controller.thumbnails.icon(str(task.job)))
        self._tell()

    def apply(self) -> None:
        """Add the chosen one's pictures to the document."""
        if self.task is not None:
            self.controller.apply(self.task)

    def reuse(self) -> None:
        """Show the chosen one's settings."""
        if self.task is not None:
            self._reuse(self.task)

    def favour(self) -> None:
        """Turn the star of the chosen one on or off."""
        if self.task is not None:
            self.controller.favour(self.task, not self.task.memo.get("favourite"))

    def discard(self) -> None:
        """Cancel or forget the chosen one."""
        if self.task is not None:
            self.controller.discard(self.task)

    def _ask(self, index: Any) -> None:
        """A row is painted: one of an earlier run wants its picture."""
        if index.data(_JOB) is not None:
            self.controller.thumbnails.want(index.data(_JOB))

    def _show_earlier(self, job: str) -> None:
        for place in range(self.list.count()):
            if self.list.item(place).data(_JOB) == job:
                self.list.item(place).setIcon(self.controller.thumbnails.icon(job))

    def _item(self, task: Task) -> Any:
        for place in range(self.list.count()):
            if self.list.item(place).data(_TASK) == task.number:
                return self.list.item(place)
        item = QtWidgets.QListWidgetItem()
        item.setData(_TASK, task.number)
        self.list.insertItem(0, item)
        self.list.setCurrentItem(item)
        return item

    def _activated(self, item: Any) -> None:
        job = item.data(_JOB)
        if job is None:
            self.apply()
            return
        operation = next((str(entry["operation"]) for entry in self.controller.earlier if entry["job"] == job), "")
        self.controller.recall(job, operation)
        self.refresh()

    def _tell(self) -> None:
        task = self.task
        self.buttons["apply"].setEnabled(task is not None and task.result is not None)
        self.buttons["reuse"].setEnabled(task is not None and bool(task.params))
        self.buttons["favourite"].setEnabled(task is not None and task.job is not None)
        self.buttons["discard"].setEnabled(task is not None)
        self.buttons["discard"].setText("Cancel" if task is not None and not task.ended else "Discard")


def _row(memo: Mapping[str, Any], title: str, state: str) -> str:
    """The words of a job, or what it does where it has none; below them how it stands. A favourite has a star."""
    star, name = "\u2605 " if memo.get("favourite") else "", memo.get("name")
    return f"{star}{name}\n{title}: {state}" if name else f"{star}{title}\n{state[:1].upper()}{state[1:]}"
