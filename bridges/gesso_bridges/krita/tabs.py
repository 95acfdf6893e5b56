"""The order in which the keyboard goes through the docker: that of the eye, row by row, whenever the widgets were made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .qt import QtCore, QtWidgets

_POINTED = (QtCore.Qt.FocusPolicy.NoFocus, QtCore.Qt.FocusPolicy.ClickFocus)
"""What the tabulator passes by."""


def order(root: Any) -> None:
    """Bring the tabulator in line with the layouts below a widget."""
    found = list(stops(root))
    for place in range(len(found) - 1):
        QtWidgets.QWidget.setTabOrder(found[place], found[place + 1])


def stops(widget: Any) -> Iterator[Any]:
    """What takes the keyboard below a widget, hidden or not, as it is laid out."""
    if isinstance(widget, QtWidgets.QSplitter):
        for place in range(widget.count()):
            yield from stops(widget.widget(place))
    elif isinstance(widget, QtWidgets.QScrollArea):
        yield from stops(widget.widget())
    elif widget.layout() is not None:
        yield from _laid(widget.layout())
    elif widget.focusPolicy() not in _POINTED:
        yield widget


def _laid(layout: Any) -> Iterator[Any]:
    for place in range(layout.count()):
        item = layout.itemAt(place)
        if item.widget() is not None:
            yield from stops(item.widget())
        elif item.layout() is not None:
            yield from _laid(item.layout())
