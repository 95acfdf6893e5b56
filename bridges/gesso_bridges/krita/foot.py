"""The foot of the docker: what there is to say, and what an issue needs, to copy and to open. It decides nothing."""

from __future__ import annotations

from .controller import Controller
from .qt import QtCore, QtGui, QtWidgets


class Foot(QtWidgets.QWidget):
    """``detail``: what belongs to an error and is not shown."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.detail = ""
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self.message = QtWidgets.QLabel()
        self.message.setObjectName("gesso_message")
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
        rows.addWidget(self.message)
        self.buttons = {}
        line = QtWidgets.QHBoxLayout()
        for name, title, call in (
            ("copy_error", "Copy error", self.copy_error),
            ("copy_report", "Copy report", self.copy_report),
            ("open_log", "Open log", self.open_log),
        ):
            button = QtWidgets.QPushButton(title)
            button.setObjectName(f"gesso_{name}")
            button.clicked.connect(lambda *_, call=call: call())
            self.buttons[name] = button
            line.addWidget(button)
        rows.addLayout(line)
        self.buttons["copy_error"].setVisible(False)

    def say(self, kind: str, sentence: str, detail: str) -> None:
        """A sentence; an error has a button that copies its detail."""
        self.message.setText(sentence)
        font = self.message.font()
        font.setBold(kind == "error")
        self.message.setFont(font)  # a style sheet would keep the colours of the theme that was chosen then
        self.detail = detail
        self.buttons["copy_error"].setVisible(bool(detail))

    def copy_error(self) -> None:
        """The detail, where there is one."""
        if self.detail:
            self._copy(self.detail)

    def copy_report(self) -> None:
        """What an issue needs."""
        self._copy(self.controller.report())

    def open_log(self) -> None:
        """The daemon's log, in whatever the desktop opens it with."""
        log = self.controller.log()
        if not QtGui.QDesktopServices.openUrl(QtCore.QUrl.fromLocalFile(log)):
            self.say("notice", f"This desktop opens no text files. The log is {log}", self.detail)

    def _copy(self, text: str) -> None:
        QtWidgets.QApplication.clipboard().setText(text)
        self.say("done", "Copied.", self.detail)
