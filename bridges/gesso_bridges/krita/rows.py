"""A fold with a row for each of several things of one kind, and a button that adds one. It does not know what the rows are for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .qt import QtWidgets
from .scrolled import reveal
from .widgets import Fold


class Rows(Fold):
    """``told``: what stands above the rows; ``add``: the button. A row has a button ``remove``, a list ``layer``, and `write`."""

    def __init__(self, title: str, add: str, most: int) -> None:
        super().__init__(title)
        self.rows: list[Any] = []
        self._most = most
        self._document: Any = None
        self.told = QtWidgets.QLabel()
        self.told.setWordWrap(True)
        self.add = QtWidgets.QPushButton(add)
        self.add.clicked.connect(lambda *_: self.add_row())
        self.add.clicked.connect(lambda *_: reveal(self.add))
        self.column.addWidget(self.told)
        self.column.addWidget(self.add)

    def made(self) -> Any:
        """A new row, as it is at first."""
        raise NotImplementedError

    def add_row(self) -> Any | None:
        """One more, if there is room for it."""
        if len(self.rows) >= self._most:
            return None
        row = self.made()
        row.remove.clicked.connect(lambda *_: self.take(row))
        self.rows.append(row)
        self.column.insertWidget(self.column.count() - 1, row)
        self.grown.emit()
        return row

    def open_row(self) -> None:
        """One more, in sight; nothing where the operation has no use for it."""
        if not self.isHidden() and not self.add.isHidden():
            self.button.setChecked(True)
            self.add_row()

    def write(self, wanted: Sequence[Any]) -> None:
        """These rows in the place of all others."""
        for row in list(self.rows):
            self.take(row)
        for one in wanted:
            row = self.add_row()
            if row is not None:
                row.write(one)
        if wanted:
            self.button.setChecked(True)

    def take(self, row: Any) -> None:
        """One less."""
        self.rows.remove(row)
        self.column.removeWidget(row)
        row.deleteLater()

    def relist(self, document: Any) -> None:
        """The layers of another document, or new ones of the same."""
        self._document = document
        for row in self.rows:
            row.layer.relist(document)
