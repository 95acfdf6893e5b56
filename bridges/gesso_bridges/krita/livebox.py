"""Where live painting is seen in the docker: the newest picture, and the button that keeps it."""

from __future__ import annotations

from typing import Any

from ..panel.task import Task
from .live import Live
from .qt import QtCore, QtWidgets
from .thumbnails import of_task

SIDE, LEAST = 220, 72
"""The longer side of the picture, where there is room for it, and where there is none: a docker that needs more height than its column has
would push Krita's window over the edge of the screen.
"""


class View(QtWidgets.QLabel):
    """The newest picture, as large as there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
        self._task: Task | None = None

    def sizeHint(self) -> Any:
        """Qt's own name."""
        return QtCore.QSize(SIDE, SIDE)

    def minimumSizeHint(self) -> Any:
        """Qt's own name."""
        return QtCore.QSize(LEAST, LEAST)

    def resizeEvent(self, event: Any) -> None:
        """Qt's own name."""
        super().resizeEvent(event)
        self.picture(self._task)

    def picture(self, task: Task | None) -> None:
        """Show a task's picture."""
        self._task = task
        found = None if task is None else of_task(task, max(LEAST, min(SIDE, self.height())))
        if found is not None:
            self.setPixmap(found)


class LiveBox(QtWidgets.QWidget):
    """Hidden until live painting begins."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self.view = View()
        self.view.setObjectName("gesso_live_view")
        rows.addWidget(self.view, 1)
        keep = QtWidgets.QPushButton("Keep as a layer")
        keep.setObjectName("gesso_live_apply")
        keep.clicked.connect(lambda *_: live.apply())
        rows.addWidget(keep)
        self.setVisible(False)
        live.shown.connect(self.view.picture)

    def open(self) -> None:
        """Live painting has begun."""
        self.view.picture(None)
        self.view.setText("The first picture is being made.")
        self.setVisible(True)
