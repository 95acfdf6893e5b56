"""Where live painting is seen in the docker: the newest picture, and the button that keeps it."""

from __future__ import annotations

from ..panel.task import Task
from .jobs import pixmap
from .live import Live
from .qt import QtCore, QtWidgets

SIDE = 220
"""The longer side of the picture."""


class LiveBox(QtWidgets.QWidget):
    """Hidden until live painting begins."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self.view = QtWidgets.QLabel()
        self.view.setObjectName("gesso_live_view")
        self.view.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.view.setMinimumHeight(SIDE)
        rows.addWidget(self.view)
        keep = QtWidgets.QPushButton("Keep as a layer")
        keep.setObjectName("gesso_live_apply")
        keep.clicked.connect(lambda *_: live.apply())
        rows.addWidget(keep)
        self.setVisible(False)
        live.shown.connect(self._show)

    def open(self) -> None:
        """Live painting has begun."""
        self.view.setText("The first picture is being made.")
        self.setVisible(True)

    def _show(self, task: Task) -> None:
        picture = pixmap(task, SIDE)
        if picture is not None:
            self.view.setPixmap(picture)
