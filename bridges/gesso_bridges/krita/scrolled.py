"""How the docker is laid out: one part above another, each scrolled where there is too little height for it. It knows none of them."""

from __future__ import annotations

from typing import Any

from .qt import QtCore, QtGui, QtWidgets

SETTLING_MS = (30, 150, 400)
"""When it is looked where a new row has its place: Qt lays out step by step, and a busy machine takes its time."""
LEAST, OTHERS = 160, 580
"""Pixels of height that the docker asks for in any case, and what Krita's bars and the dockers of its default layout ask for."""


class Scrolled(QtWidgets.QScrollArea):
    """Something that scrolls up and down where there is too little height for it, and never sideways. ``least``: pixels of height that it
    asks for; None for what `least` gives.
    """

    def __init__(self, content: Any, least: int | None = None) -> None:
        super().__init__()
        self._least = least
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self.setWidget(content)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """What is scrolled may have grown: so may what is asked for. Qt's own name."""
        if event.type() == QtCore.QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def minimumSizeHint(self) -> Any:
        """Qt's own name."""
        content, bar = self.widget().minimumSizeHint(), self.verticalScrollBar().sizeHint().width()
        screen = QtWidgets.QApplication.primaryScreen().availableSize().height()
        return QtCore.QSize(content.width() + bar, least(content.height(), screen) if self._least is None else self._least)


class Halves(QtWidgets.QSplitter):
    """One part above another; what stands in empty fields can be read in both, in every theme: Qt draws it at half strength."""

    def __init__(self) -> None:
        super().__init__(QtCore.Qt.Orientation.Vertical)
        self.setChildrenCollapsible(False)
        self._tone()

    def changeEvent(self, event: Any) -> None:
        """Another theme, maybe. Qt's own name."""
        super().changeEvent(event)
        if event.type() == QtCore.QEvent.Type.PaletteChange:
            self._tone()

    def _tone(self) -> None:
        role = QtGui.QPalette.ColorRole.PlaceholderText
        colour = self.palette().text().color()
        colour.setAlphaF(0.75)
        if self.palette().color(role) != colour:
            palette = QtGui.QPalette()
            palette.setColor(role, colour)
            self.setPalette(palette)  # only this one: the others go on following the theme


def least(content: int, screen: int) -> int:
    """The height that the docker asks for, of that of its content and of the screen: one that asked for more than its column has would
    push Krita's window over the edge of the screen.
    """
    return min(content, max(LEAST, screen - OTHERS))


def reveal(widget: Any) -> None:
    """Scroll to a widget that has just come or grown: as much of it is seen as there is room for, its upper edge in any case."""
    for moment in SETTLING_MS:
        timer = QtCore.QTimer(widget)  # it goes with the widget
        timer.setSingleShot(True)
        timer.timeout.connect(lambda: _scroll_to(widget))
        timer.timeout.connect(timer.deleteLater)
        timer.start(moment)


def _scroll_to(widget: Any) -> None:
    area = widget.parentWidget()
    while area is not None:
        if isinstance(area, QtWidgets.QScrollArea):
            room, bar = area.viewport().height(), area.verticalScrollBar()
            top = widget.mapTo(area.widget(), QtCore.QPoint(0, 0)).y()
            if not bar.value() <= top <= top + widget.height() <= bar.value() + room:
                bar.setValue(min(top, top + widget.height() - room))
        area = area.parentWidget()
