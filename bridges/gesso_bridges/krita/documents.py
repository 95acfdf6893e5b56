"""Reading a Krita document: the soft selection, and some of its pixels as sRGB. Nothing here writes, and only the box asked for is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .boxes import Box
from .planes import Picture

SRGB = "sRGB-elle-V2-srgbtrc.icc"
"""Krita's own sRGB with its curve, the one that documents of 8 bits have by default."""
_DEPTHS = {"U8": 1, "U16": 2, "F16": 2, "F32": 2}
"""Bytes of a sample that a document's pixels leave with: what has more than 8 bits keeps 16."""
_PLAIN_MODELS = ("RGBA", "GRAYA", "A")


@dataclass(frozen=True)
class Selected:
    """A selection: where it is, and one byte a pixel, 255 where it is full."""

    box: Box
    data: bytes

    def laid_into(self, box: Box) -> bytes:
        """The same for another box; what it does not cover is 0."""
        common = box.cut(self.box)
        rows = bytearray(box.width * box.height)
        for y in range(common.y, common.bottom):
            start = (y - self.box.y) * self.box.width + common.x - self.box.x
            place = (y - box.y) * box.width + common.x - box.x
            rows[place : place + common.width] = self.data[start : start + common.width]
        return bytes(rows)

    def inverted(self, box: Box) -> Selected:
        """All of a box that it leaves out."""
        return Selected(box, self.laid_into(box).translate(bytes(range(255, -1, -1))))


def canvas(document: Any) -> Box:
    """The whole document."""
    return Box(0, 0, document.width(), document.height())


def selection(document: Any) -> Selected | None:
    """The soft selection, wherever it lies; None where there is none, or nothing in it."""
    found = document.selection()
    if found is None:
        return None
    box = Box(found.x(), found.y(), found.width(), found.height())
    if bytes(found.pixelData(box.x - 1, box.y - 1, 1, 1)) != b"\0":  # one that a script inverted has no end: Krita 6 gives all of its tiles
        box = box.cut(canvas(document))
    if box.empty:
        return None
    return Selected(box, bytes(found.pixelData(box.x, box.y, box.width, box.height)))


def depth(document: Any) -> int:
    """Bytes of a sample that the document's pixels leave with."""
    return _DEPTHS.get(document.colorDepth(), 2)


def notices(document: Any) -> list[str]:
    """What the user must know about the document's colours before something is made for it."""
    if document.colorModel() not in _PLAIN_MODELS:
        return [f"{document.colorModel()[:-1]} colours are converted to sRGB for the model and back; what sRGB lacks does not come back."]
    return []


def shown(document: Any, hidden: frozenset[str]) -> list[Any]:
    """Those of the hidden layers that the document shows itself: there is nothing to do about the others."""
    return [node for node in every_node(document.rootNode()) if node.visible() and node_id(node) in hidden] if hidden else []


def read_layer(document: Any, node: Any, box: Box) -> Picture:
    """What one layer or group alone shows in a box, as `read` gives it."""
    data = node.projectionPixelData(box.x, box.y, box.width, box.height)
    return converted(document, data, box, (node.colorModel(), node.colorDepth(), node.colorProfile()))


def read_alpha(document: Any, node: Any, box: Box) -> bytes:
    """How opaque one layer or group is in a box, one byte a pixel."""
    picture = read_layer(document, node, box)
    return bytes(picture.data)[4 * picture.depth - 1 :: 4 * picture.depth]  # the high byte of the last channel


def identity(document: Any) -> str:
    """What stays the same as long as a document is open; Krita's own objects for it come and go."""
    return str(document.rootNode().uniqueId().toString())


def node_id(node: Any) -> str:
    """What stays the same as long as a layer exists."""
    return str(node.uniqueId().toString())


def node_of(document: Any, wanted: str | None) -> Any | None:
    """The layer of an id; None where it has been deleted."""
    return next((node for node in every_node(document.rootNode()) if node_id(node) == wanted), None)


def every_node(root: Any) -> list[Any]:
    """All nodes below one, the lowest first."""
    found = []
    for node in root.childNodes():
        found += [node, *every_node(node)]
    return found


def converted(document: Any, data: Any, box: Box, space: tuple[str, str, str] | None = None) -> Picture:
    """Pixels (in the document's own colours, or in a space) as sRGB: by Krita's own colour management, on a layer that no tree holds."""
    size = depth(document)
    space = space or (document.colorModel(), document.colorDepth(), document.colorProfile())
    if space != ("RGBA", "U8", SRGB) or size != 1:
        sheet = document.createNode("gesso", "paintlayer")
        if (sheet.colorModel(), sheet.colorDepth(), sheet.colorProfile()) != space:
            sheet.setColorSpace(*space)
        sheet.setPixelData(data, 0, 0, box.width, box.height)
        sheet.setColorSpace("RGBA", {1: "U8", 2: "U16"}[size], SRGB)
        data = sheet.pixelData(0, 0, box.width, box.height)
    return Picture(box.width, box.height, size, bytes(data))
