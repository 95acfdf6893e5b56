"""Writing into a Krita document, always in the one way that keeps its history whole: layers are filled while they belong to no tree, then
added in one step. It never writes into a layer that is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .boxes import Box
from .documents import SRGB
from .planes import Picture

_NO_NEIGHBOURS = ("transparencymask", "filtermask", "transformmask", "selectionmask", "colorizemask")


@dataclass(frozen=True)
class Sheet:
    """A layer to come: its name, the place of its upper left pixel, and its pixels as sRGB."""

    name: str
    x: int
    y: int
    picture: Picture

    @property
    def box(self) -> Box:
        """Where it lies."""
        return Box(self.x, self.y, self.picture.width, self.picture.height)


def add_group(document: Any, name: str, sheets: Sequence[Sheet], above: Any | None) -> Any:
    """A group with the sheets, the first uppermost and alone visible, directly above a node (None: on top), in one undo step."""
    group = document.createGroupLayer(name)
    for sheet in reversed(sheets):
        layer = _filled(document, sheet)
        layer.setVisible(sheet is sheets[0])
        group.addChildNode(layer, None)
    parent, neighbour = _place(document, above)
    document.waitForDone()  # what is still drawn walks through the tree that is about to change
    parent.addChildNode(group, neighbour)
    document.refreshProjection()  # a group that was filled before it was added has no extent yet; nothing waits for Krita to draw it
    return group


def _filled(document: Any, sheet: Sheet) -> Any:
    """A detached layer in the document's own colours."""
    layer = document.createNode(sheet.name, "paintlayer")
    picture, box = sheet.picture, sheet.box
    own = (document.colorModel(), document.colorDepth(), document.colorProfile())
    made = ("RGBA", {1: "U8", 2: "U16"}[picture.depth], SRGB)
    layer.setColorSpace(*made)
    layer.setPixelData(bytes(picture.data), box.x, box.y, box.width, box.height)
    if made != own:
        layer.setColorSpace(*own)
    return layer


def _place(document: Any, above: Any | None) -> tuple[Any, Any | None]:
    """(the parent, the child of it to be above): masks are no neighbours of layers, and a node may have been deleted meanwhile."""
    node = above
    while node is not None and node.type() in _NO_NEIGHBOURS:
        node = node.parentNode()
    parent = None if node is None else node.parentNode()
    return (document.rootNode(), None) if parent is None else (parent, node)
