"""How results and documents go together, in the docker: beyond the canvas, layers at once or not, layers that the model does not see."""

from __future__ import annotations

from . import documents, orders
from .controller import Controller
from .qt import QtWidgets
from .widgets import Fold

_BEYOND = {"paint": "Paint outside as well", "grow": "Grow the canvas", "inside": "Stay inside"}


class InDocument(Fold):
    """``hidden`` of the active document: ids of the layers that are left out."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("In this document")
        self.controller = controller
        self._hidden: dict[str, set[str]] = {}
        self.beyond = QtWidgets.QComboBox()
        self.beyond.setObjectName("gesso_beyond")
        for name in orders.BEYOND:
            self.beyond.addItem(_BEYOND[name], name)
        row = QtWidgets.QFormLayout()
        row.setRowWrapPolicy(QtWidgets.QFormLayout.RowWrapPolicy.WrapLongRows)
        row.addRow("A selection over the border", self.beyond)
        self.column.addLayout(row)
        self.at_once = QtWidgets.QCheckBox("Add results as layers at once")
        self.at_once.setObjectName("gesso_at_once")
        self.at_once.setChecked(controller.apply_at_once)
        self.at_once.toggled.connect(self._set_at_once)
        self.column.addWidget(self.at_once)
        self.told = QtWidgets.QLabel()
        self.told.setWordWrap(True)
        self.exclude = QtWidgets.QPushButton("Leave the active layer out")
        self.exclude.setObjectName("gesso_exclude")
        self.exclude.setToolTip("Layers that are left out stay visible, but the model does not see them. Again: take it in.")
        self.exclude.clicked.connect(lambda *_: self.toggle())
        self.column.addWidget(self.told)
        self.column.addWidget(self.exclude)

    @property
    def hidden(self) -> frozenset[str]:
        """Ids of the layers of the active document that are left out."""
        document = self.controller.document
        return frozenset(() if document is None else self._hidden.get(documents.identity(document), ()))

    def toggle(self, layer: str | None = None) -> None:
        """Leave a layer (the active one) out of what the model sees, or take it in again."""
        document = self.controller.document
        node = None if document is None else document.activeNode()
        layer = layer if layer is not None or node is None else documents.node_id(node)
        if document is not None and layer is not None:
            self._hidden.setdefault(documents.identity(document), set()).symmetric_difference_update({layer})
            self.refresh()

    def refresh(self) -> None:
        """Say which layers are left out."""
        document, hidden = self.controller.document, self.hidden
        nodes = [] if document is None else documents.every_node(document.rootNode())
        names = [node.name() for node in nodes if documents.node_id(node) in hidden]
        self.told.setText(f"The model does not see: {', '.join(names)}" if names else "The model sees all visible layers.")

    def _set_at_once(self, on: bool) -> None:
        self.controller.apply_at_once = on
