"""Control layers in the docker: which layer steers the picture through which ControlNet, how strongly, and in which part of the run; and
such layers made of the picture itself, by the operation that traces. It makes no pixel itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..panel.form import Choice, Form, Surface
from ..panel.task import Task
from .layerlist import LayerList
from .orders import CANVAS, Steer
from .qt import QtWidgets
from .rows import Rows

CATALOGUES = {"controlnets": "ControlNet", "t2i_adapters": "T2I-Adapter", "ip_adapters": "reference image"}
"""What a control may be, as the daemon lists it, and in words."""
REFERENCES = "ip_adapters"
"""Those that look at a picture as a whole."""
TRACES = "trace"
"""The operation that makes control images."""
NONE = (
    "No ControlNet is here, so no layer can steer the picture. Take one in with `gesso models add FOLDER`, "
    "and leave this docker a moment to notice."
)
MOST = 8
Trace = Callable[[Form, str, str], "Task | None"]
"""(form, kind, source) -> the task that makes a layer."""


class Controls(Rows):
    """A row for each control layer; only for operations that carry them."""

    def __init__(self, trace: Trace) -> None:
        super().__init__("Control layers", "Add a control layer", MOST)
        self._trace = trace
        self._choices: list[Choice] = []
        self._whole: frozenset[str] = frozenset()
        self._tracer: Form | None = None
        self.told.setObjectName("gesso_controls_told")
        self.add.setObjectName("gesso_control_add")

    def made(self) -> Row:
        """One of what is seen, by the first control that there is."""
        return Row(self._choices, self._document, self._tracer, self._make)

    def show_for(self, form: Form | None, surface: Surface | None, document: Any) -> None:
        """Bring it in line with the operation, the models that there are, and the layers of the active document."""
        self.setVisible(form is not None and "control" in form)
        self._tracer = None if surface is None else surface.forms.get(TRACES)
        catalogues = {} if surface is None else surface.catalogues
        listed = [(entry, what) for kind, what in CATALOGUES.items() for entry in catalogues.get(kind, ())]
        self._choices = [Choice(entry["name"], f"{entry['name']} ({what})", str(entry.get("title", ""))) for entry, what in listed]
        self._whole = frozenset(str(entry["name"]) for entry in catalogues.get(REFERENCES, ()))
        self.told.setText("" if self._choices else NONE)
        self.told.setVisible(not self._choices)
        self.add.setVisible(bool(self._choices))
        self.relist(document)

    def read(self) -> list[Steer]:
        """What steers; nothing where the operation does not carry it."""
        return [row.read(self._whole) for row in self.rows] if not self.isHidden() else []

    def landed(self, task: Task, document: Any) -> str | None:
        """A task's pictures are layers now, and the row that asked for them reads them. Gives its id: the model is not to see it."""
        row = next((row for row in self.rows if row.making is task), None)
        layer = task.memo.get("layer")
        if row is None or layer is None:
            return None
        row.making = None
        row.layer.relist(document, layer)
        return str(layer)

    def _make(self, row: Row, kind: str) -> None:
        if self._tracer is not None:
            row.making = self._trace(self._tracer, kind, row.layer.currentData())


class Row(QtWidgets.QGroupBox):
    """ControlNet, layer, strength, range."""

    def __init__(self, choices: list[Choice], document: Any, tracer: Form | None, make: Callable[[Row, str], None]) -> None:
        super().__init__()
        self.making: Task | None = None
        grid = QtWidgets.QFormLayout(self)
        self.net, self.layer = QtWidgets.QComboBox(), LayerList(document, ("What is seen", CANVAS))
        for choice in choices:
            self.net.addItem(choice.title, choice.value)
        self.strength, self.start, self.end = (self._spin(value, most) for value, most in ((1.0, 2.0), (0.0, 1.0), (1.0, 1.0)))
        line = QtWidgets.QHBoxLayout()
        line.addWidget(self.layer, 1)
        if tracer is not None and "kind" in tracer:
            line.addWidget(self._trace_button(tracer, make))
        for spin in (self.start, self.end):
            spin.setToolTip("The part of the run in which it steers: 0 is the beginning, 1 the end")
        self.remove = QtWidgets.QPushButton("Remove")
        span = QtWidgets.QHBoxLayout()
        for widget in (self.start, QtWidgets.QLabel("to"), self.end):
            span.addWidget(widget)
        span.addStretch(1)
        for title, widget in (("Control", self.net), ("Layer", line), ("Strength", self.strength), ("Active from", span)):
            grid.addRow(title, widget)
        grid.addRow(self.remove)
        named = {"Control": self.net, "Layer": self.layer, "Strength": self.strength, "Active from": self.start, "Active to": self.end}
        for title, widget in named.items():
            widget.setAccessibleName(title)

    def _trace_button(self, tracer: Form, make: Callable[[Row, str], None]) -> Any:
        self.trace = QtWidgets.QPushButton("Make")
        self.trace.setObjectName("gesso_control_make")
        self.trace.setToolTip(f"Make a new layer of what the layer on the left shows. {tracer['kind'].help}")
        menu = QtWidgets.QMenu(self.trace)
        for choice in tracer["kind"].choices:
            menu.addAction(choice.title.capitalize()).triggered.connect(lambda *_, kind=choice.value: make(self, kind))
        self.trace.setMenu(menu)
        return self.trace

    @staticmethod
    def _spin(value: float, most: float) -> Any:
        spin = QtWidgets.QDoubleSpinBox()
        spin.setRange(0.0, most)
        spin.setSingleStep(0.05)
        spin.setValue(value)
        return spin

    def read(self, whole: frozenset[str]) -> Steer:
        """What is set; ``whole``: the controls that look at a picture as a whole."""
        net = self.net.currentData()
        parts = (net, self.layer.currentData(), self.strength.value(), self.start.value(), self.end.value())
        return Steer(*parts, whole=net in whole)

    def write(self, steer: Steer) -> None:
        """Show a control layer."""
        self.net.setCurrentIndex(self.net.findData(steer.net))
        self.layer.choose(steer.layer)
        for spin, value in ((self.strength, steer.strength), (self.start, steer.start), (self.end, steer.end)):
            spin.setValue(value)
