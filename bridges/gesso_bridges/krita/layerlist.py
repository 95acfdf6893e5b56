"""A list to choose a layer or group of the active document from. It keeps its choice where documents and layers come and go."""

from __future__ import annotations

from typing import Any

from . import documents
from .qt import QtWidgets

_LAYERS = ("paintlayer", "grouplayer", "vectorlayer", "filelayer", "clonelayer", "filllayer", "generatorlayer")


class LayerList(QtWidgets.QComboBox):
    """``first``: (title, value) of an entry that is no layer, before all others."""

    def __init__(self, document: Any, first: tuple[str, str] | None = None) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        self._first = first
        self._chosen: Any = None
        self.currentIndexChanged.connect(self._note)
        self.relist(document)

    def relist(self, document: Any, chosen: str | None = None) -> None:
        """List the layers anew, the uppermost first; ``chosen``: the id to choose, else what was chosen before."""
        self.blockSignals(True)
        self.clear()
        if self._first is not None:
            self.addItem(*self._first)
        nodes = documents.every_node(document.rootNode()) if document is not None else []
        for node in reversed(nodes):
            if node.type() in _LAYERS:
                self.addItem(node.name(), documents.node_id(node))
        self.blockSignals(False)
        self.choose(chosen or self._chosen or self.itemData(0))

    def choose(self, layer: str | None) -> None:
        """Show a layer by its id; nothing where it is not in this document, so that nobody takes another for it."""
        self._chosen = layer
        self.setCurrentIndex(self.findData(layer))

    def _note(self, place: int) -> None:
        if place >= 0:
            self._chosen = self.itemData(place)
