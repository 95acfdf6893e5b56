"""What a document shows, without some of its layers where that is wished: once, or strip by strip as live painting follows the brush.

Krita composes no picture without some of its layers but in a document of its own, and to clone one for every strip would take Krita's
thread for too long. So one clone, as large as a strip, is kept: for every look its layers are moved below that window, those that may have
changed get the strip's pixels anew, and no more than the window is composed. It writes into the clone alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from . import documents
from .boxes import Box
from .planes import Picture

LEAVES = 12
"""Layers whose pixels are brought up to date in one look of live painting, the active one first: each takes some of Krita's time."""
LOOKS = 16
"""Looks until it is seen that a layer came, went, or is shown in another way."""
_ADJUSTS = ("filterlayer", "adjustmentlayer")


def read(document: Any, box: Box, hidden: frozenset[str] = frozenset()) -> Picture:
    """What the document shows in a box of its canvas, as sRGB of `documents.depth` bytes a sample. ``hidden``: ids of layers left out."""
    if not documents.shown(document, hidden):
        return documents.converted(document, document.pixelData(box.x, box.y, box.width, box.height), box)
    look = Without(document, hidden, box.width, box.height)
    try:
        return documents.converted(document, look.read(box), box)
    finally:
        look.close()


class Without:
    """``hidden``: ids of the layers to leave out; ``width`` and ``height``: of the largest strip that will be read; ``leaves``: how many
    layers are brought up to date in one look, all by default.
    """

    def __init__(self, document: Any, hidden: frozenset[str], width: int, height: int, leaves: int | None = None) -> None:
        self._document, self._hidden, self._size = document, hidden, (width, height)
        self._leaves = leaves
        self._looks = 0
        self._make()

    def close(self) -> None:
        """The clone goes."""
        self._clone.close()

    def read(self, box: Box) -> bytes:
        """The pixels of a strip, in the document's own colours; none once the document is closed."""
        if not self._document.pixelData(box.x, box.y, 1, 1):
            return b""
        self._looks += 1
        if self._looks % LOOKS == 0 and self._shape() != self._made_of:
            self.close()
            self._make()
        for node, place in self._places:
            node.move(place.x() - box.x, place.y() - box.y)
        for leaf, sheet in self._due():
            sheet.setPixelData(leaf.projectionPixelData(box.x, box.y, box.width, box.height), 0, 0, box.width, box.height)
        self._clone.refreshProjection()  # it waits itself: in Krita 5.3 to wait once more takes 11 ms, though there is nothing to wait for
        return bytes(self._clone.pixelData(0, 0, box.width, box.height))

    def _make(self) -> None:
        self._made_of = self._shape()
        self._clone = clone = self._document.clone()
        for node in documents.shown(clone, self._hidden):
            node.setVisible(False)
        seen = [(leaf, documents.node_of(clone, documents.node_id(leaf))) for leaf in _leaves(self._document.rootNode().childNodes())]
        pairs = [(leaf, _plain(clone, copy)) for leaf, copy in seen if copy is not None and copy.visible()]
        self._sheets = {documents.node_id(leaf): (leaf, sheet) for leaf, sheet in pairs}
        self._turn = deque(self._sheets)
        clone.resizeImage(0, 0, *self._size)
        clone.waitForDone()
        self._places = [(node, node.position()) for node in documents.every_node(clone.rootNode())]

    def _due(self) -> list[tuple[Any, Any]]:
        """(a layer, its sheet) of those that are brought up to date now."""
        active = documents.node_id(self._document.activeNode())
        names = list(self._turn)[: self._leaves]
        self._turn.rotate(-len(names))
        return [self._sheets[name] for name in dict.fromkeys([active, *names]) if name in self._sheets]

    def _shape(self) -> Sequence[Any]:
        """What the clone has once for all: the size, which layers there are, in which order, and how they are joined."""
        found: list[Any] = [documents.canvas(self._document)]
        for node in documents.every_node(self._document.rootNode()):
            found.append((documents.node_id(node), node.visible(), node.opacity(), node.blendingMode(), node.inheritAlpha()))
        return found


def _leaves(nodes: Sequence[Any]) -> list[Any]:
    """The layers that are visible and have pixels of their own."""
    found = []
    for node in nodes:
        if node.visible() and node.type() == "grouplayer":
            found += _leaves(node.childNodes())
        elif node.visible() and not node.type().endswith("mask") and node.type() not in _ADJUSTS:
            found.append(node)
    return found


def _plain(clone: Any, copy: Any) -> Any:
    """The layer of the clone that shows what the original shows with its masks: itself without them, or a layer of pixels in its place."""
    for mask in copy.childNodes():
        mask.remove()
    if copy.type() == "paintlayer":
        return copy
    sheet = clone.createNode(copy.name(), "paintlayer")
    sheet.setColorSpace(copy.colorModel(), copy.colorDepth(), copy.colorProfile())
    sheet.setOpacity(copy.opacity())
    sheet.setBlendingMode(copy.blendingMode())
    sheet.setInheritAlpha(copy.inheritAlpha())
    copy.parentNode().addChildNode(sheet, copy)
    copy.remove()
    return sheet
