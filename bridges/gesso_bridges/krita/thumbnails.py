"""Small pictures of jobs, for the list and the live view. Those of earlier runs are asked for when their row is painted for the first time,
read on the session's thread, and kept while their job is listed. On Krita's own thread only small pictures are turned into Qt's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from gesso.client import Client
from gesso.errors import GessoError, Unreachable

from ..panel.session import Session
from ..panel.task import Task
from . import placing
from .planes import Picture
from .qt import QtCore, QtGui, QtWidgets, Signal

SIDE = 96
"""The longer side in a list."""


class Thumbnails(QtCore.QObject):
    """Icons of earlier jobs. ``came``: the one of this job is there; where its pictures are gone it stays empty."""

    came = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._asked: set[str] = set()
        self._found: dict[str, Any] = {}

    def icon(self, job: str) -> Any:
        """A job's icon; an empty one keeps the room until it is there."""
        return self._found.get(job) or QtGui.QIcon(blank(SIDE))

    def want(self, job: str) -> None:
        """Ask for a job's picture, once."""
        if job in self._asked or not self._session.state.connected:
            return
        self._asked.add(job)

        def read(client: Client) -> Picture | None:
            return placing.small(client.attach(job).result())

        def take(answer: Picture | GessoError | None) -> None:
            if isinstance(answer, Unreachable):
                self._asked.discard(job)
            elif isinstance(answer, Picture):
                self._found[job] = QtGui.QIcon(pixmap(answer, SIDE))
                self.came.emit(job)

        self._session.ask(read, take)

    def keep_only(self, jobs: Collection[str]) -> None:
        """The list is new, and so may the connection be: what was asked for and did not come is asked for again."""
        self._found = {job: icon for job, icon in self._found.items() if job in jobs}
        self._asked = set(self._found)


class Asking(QtWidgets.QStyledItemDelegate):
    """Tells which rows are painted: those that nobody scrolls to cost nothing."""

    def __init__(self, painted: Callable[[Any], None], parent: Any) -> None:
        super().__init__(parent)
        self._painted = painted

    def paint(self, painter: Any, option: Any, index: Any) -> None:
        """Qt's own name."""
        super().paint(painter, option, index)
        self._painted(index)


def of_task(task: Task, side: int) -> Any | None:
    """A task's first picture, or the newest preview of it, as a pixmap of a longer side; None while there is nothing to see."""
    if task.digest is not None and task.digest.small is not None:
        return pixmap(task.digest.small, side)
    image = None if task.preview is None else QtGui.QImage.fromData(task.preview.data)
    return None if image is None or image.isNull() else _scaled(image, side)


def pixmap(picture: Picture, side: int) -> Any:
    """As a pixmap of a longer side."""
    data = bytes(picture.data)[picture.depth - 1 :: picture.depth]  # the high bytes
    return _scaled(QtGui.QImage(data, picture.width, picture.height, 4 * picture.width, QtGui.QImage.Format.Format_ARGB32), side)


def blank(side: int) -> Any:
    """A pixmap in which nothing is seen."""
    empty = QtGui.QPixmap(side, side)
    empty.fill(QtCore.Qt.GlobalColor.transparent)
    return empty


def _scaled(image: Any, side: int) -> Any:
    aspect, how = QtCore.Qt.AspectRatioMode.KeepAspectRatio, QtCore.Qt.TransformationMode.SmoothTransformation
    return QtGui.QPixmap.fromImage(image.scaled(side, side, aspect, how))
