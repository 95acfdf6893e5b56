"""Regions in the docker: words that hold where a layer or group is opaque. It reads no pixel itself."""

from __future__ import annotations

from typing import Any

from ..panel.form import Form
from .layerlist import LayerList
from .orders import Region
from .qt import QtWidgets
from .rows import Rows

TOLD = "Words for a part of the picture, where a layer or group is opaque. The prompt above holds everywhere, and is said after them."
MOST = 16


class Regions(Rows):
    """A row for each region; only for operations that carry them."""

    def __init__(self) -> None:
        super().__init__("Regions", "Add a region", MOST)
        self.told.setText(TOLD)
        self.add.setObjectName("gesso_region_add")

    def made(self) -> Row:
        """One of the active layer."""
        return Row(self._document)

    def show_for(self, form: Form | None, document: Any) -> None:
        """Bring it in line with the operation and the layers of the active document."""
        self.setVisible(form is not None and "region" in form)
        self.relist(document)

    def read(self) -> list[Region]:
        """Those with words; nothing where the operation does not carry them."""
        found = [Region(row.words.text().strip(), row.layer.currentData()) for row in self.rows]
        return [region for region in found if region.words] if not self.isHidden() else []


class Row(QtWidgets.QGroupBox):
    """A layer and its words."""

    def __init__(self, document: Any) -> None:
        super().__init__()
        grid = QtWidgets.QFormLayout(self)
        self.layer, self.words = LayerList(document), QtWidgets.QLineEdit()
        active = None if document is None else document.activeNode()
        if active is not None:
            self.layer.setCurrentIndex(max(0, self.layer.findData(active.uniqueId().toString())))
        self.words.setPlaceholderText("What is to be seen there")
        self.remove = QtWidgets.QPushButton("Remove")
        for title, widget in (("Layer", self.layer), ("Words", self.words)):
            widget.setAccessibleName(title)
            grid.addRow(title, widget)
        grid.addRow(self.remove)

    def write(self, region: Region) -> None:
        """Show a region."""
        self.layer.choose(region.layer)
        self.words.setText(region.words)
