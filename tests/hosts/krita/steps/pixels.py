"""Reading and writing in every depth: what a box reads as, and that an added group is one step that leaves all below as it was."""

import struct

from gesso_krita.krita import composed, documents, layers
from gesso_krita.krita.boxes import Box
from gesso_krita.krita.planes import Picture
from gesso_krita.krita.qt import QtGui, QtWidgets
from hands import close, hatched
from krita import Selection

SPACES = [
    ("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc"),
    ("RGBA", "U16", "sRGB-elle-V2-srgbtrc.icc"),
    ("RGBA", "F16", "sRGB-elle-V2-g10.icc"),
    ("RGBA", "F32", "sRGB-elle-V2-g10.icc"),
    ("GRAYA", "U8", ""),
    ("CMYKA", "U8", ""),
    ("LABA", "U16", ""),
]
COLOUR = {"U8": b"\x20\x40\x80\xff", "U16": struct.pack("<4H", 0x2020, 0x4040, 0x8080, 0xFFFF)}


def painted(lab, model, depth, profile):
    """A document with a hatched background; its colour where the model has one."""
    document = lab.open(96, 80, model, depth, profile)
    base = document.topLevelNodes()[0]
    size = len(bytes(base.pixelData(0, 0, 1, 1)))
    if model == "RGBA":
        pixel = COLOUR.get(depth) or struct.pack("<4e" if depth == "F16" else "<4f", 0.2159, 0.0513, 0.0144, 1.0)
    else:
        opaque = {"U8": 1, "U16": 2}[depth]
        pixel = b"\x40" * (size - opaque) + b"\xff" * opaque
    base.setPixelData(pixel * (96 * 80), 0, 0, 96, 80)
    document.refreshProjection()
    document.waitForDone()
    return document, base


def steps(lab):
    lab.krita.setBatchmode(True)
    found = []
    for model, depth, profile in SPACES:
        document, base = painted(lab, model, depth, profile)
        yield 0.3
        before = bytes(base.pixelData(0, 0, 96, 80))
        picture = composed.read(document, Box(10, 12, 4, 3))
        red = b"\0\0\xff\xff" if picture.depth == 1 else struct.pack("<4H", 0, 0, 65535, 65535)
        whole = Picture(8, 6, picture.depth, red * 48)
        layers.add_group(document, "made", [layers.Sheet("one", 20, 30, whole), layers.Sheet("two", 20, 30, whole)], base)
        yield 0.3
        document.waitForDone()
        names = [[child.name() for child in node.childNodes()] for node in document.rootNode().childNodes()]
        made = document.nodeByName("one")
        inside, outside = document.pixelData(20, 30, 8, 6), document.pixelData(0, 0, 96, 30)
        facts = {
            "space": [document.colorModel(), document.colorDepth(), document.colorProfile()],
            "layer_space": [made.colorModel(), made.colorDepth(), made.colorProfile()],
            "bounds": [made.bounds().x(), made.bounds().y(), made.bounds().width(), made.bounds().height()],
            "depth": picture.depth,
            "read": bytes(picture.data)[: 4 * picture.depth].hex(),
            "names": names,
            "same_below": bytes(base.pixelData(0, 0, 96, 80)) == before,
            "inside_is_new": bytes(inside) != bytes(base.pixelData(20, 30, 8, 6)),
            "outside_is_old": bytes(outside) == before[: len(bytes(outside))],
            "notices": documents.notices(document),
        }
        lab.act("edit_undo")
        yield 0.4
        document.waitForDone()
        facts["after_undo"] = [node.name() for node in document.rootNode().childNodes()]
        lab.act("edit_redo")
        yield 0.4
        document.waitForDone()
        facts["after_redo"] = [[child.name() for child in node.childNodes()] for node in document.rootNode().childNodes()]
        facts["redone_pixels"] = bytes(document.pixelData(20, 30, 8, 6)) == bytes(inside)
        facts["below_after_redo"] = bytes(base.pixelData(0, 0, 96, 80)) == before
        found.append(facts)
        yield from close(document)
    lab.note(spaces=found)
    yield from selections(lab)
    yield from references(lab)


def selections(lab):
    """None, empty, feathered, inverted, beyond the canvas; a layer left out."""
    document, _ = painted(lab, "RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")
    yield 0.3
    seen = {"none": documents.selection(document)}
    document.setSelection(Selection())
    document.waitForDone()
    seen["empty"] = documents.selection(document)
    for name in ("soft", "inverted", "beyond"):
        chosen = Selection()
        chosen.select(*((-20, 60, 50, 40) if name == "beyond" else (30, 20, 20, 16)), 255)
        if name == "soft":
            chosen.feather(4)
        if name == "inverted":
            chosen.invert()
        document.setSelection(chosen)
        document.waitForDone()
        got = documents.selection(document)
        seen[name] = [got.box.x, got.box.y, got.box.width, got.box.height, min(got.data), max(got.data), len(set(got.data)), len(got.data)]
    document.setSelection(None)
    cover = document.createNode("cover", "paintlayer")
    cover.setPixelData(b"\xff\xff\xff\xff" * 96 * 80, 0, 0, 96, 80)
    document.rootNode().addChildNode(cover, None)
    document.refreshProjection()
    document.waitForDone()
    box = Box(0, 0, 1, 1)
    seen["with_cover"] = bytes(composed.read(document, box).data).hex()
    seen["without_cover"] = bytes(composed.read(document, box, frozenset([cover.uniqueId().toString()])).data).hex()
    seen["cover_still_visible"] = cover.visible()
    cover.setVisible(False)
    group = layers.add_group(document, "made", [layers.Sheet("white", 0, 0, Picture(96, 80, 1, b"\xff" * 4 * 96 * 80))], None)
    seen["without_group"] = bytes(composed.read(document, Box(40, 30, 1, 1), frozenset([documents.node_id(group)])).data).hex()
    cover.setVisible(True)
    seen["without_vector"] = yield from beside_a_cover(document, cover, group)
    seen["documents_after"] = len(lab.krita.documents())
    lab.note(selections=seen)


def beside_a_cover(document, *covers):
    """What a vector layer draws, where the layers that cover it are left out. Krita draws shapes when its own loop comes to it."""
    drawn = document.createVectorLayer("drawn")
    document.rootNode().addChildNode(drawn, document.topLevelNodes()[0])
    drawn.addShapesFromSvg('<svg xmlns="http://www.w3.org/2000/svg"><rect x="30" y="40" width="20" height="20" fill="#ff0000"/></svg>')
    yield 1.0
    document.refreshProjection()
    document.waitForDone()
    hidden = frozenset(map(documents.node_id, covers))
    return [bytes(composed.read(document, Box(x, y, 4, 4), hidden).data)[:4].hex() for x, y in ((34, 44), (60, 44))]


def references(lab):
    """A reference image lies over the picture: it is seen by people alone, and a result that comes above it is in its place."""
    lab.krita.writeSetting("", "pasteBehaviour", "0")  # as sRGB, without a question
    document, _, rows = hatched(lab, 128, 96)
    yield 0.3
    image = QtGui.QImage(64, 64, QtGui.QImage.Format.Format_ARGB32)
    image.fill(QtGui.QColor(255, 0, 0))
    QtWidgets.QApplication.clipboard().setImage(image)
    nodes = document.rootNode().childNodes()
    lab.act("paste_as_reference")
    yield (lambda: len(document.rootNode().childNodes()) == len(nodes) + 1), 20
    yield 0.3
    document.waitForDone()
    reference, whole = document.rootNode().childNodes()[-1], Box(0, 0, 128, 96)
    sheet = layers.Sheet("white", 0, 0, Picture(128, 96, 1, b"\xff" * 4 * 128 * 96))
    plain = bytes(composed.read(document, whole).data) == rows
    group = layers.add_group(document, "made", [sheet], reference)
    yield 0.3
    document.waitForDone()
    covered = bytes(document.pixelData(0, 0, 128, 96)) == sheet.picture.data
    left_out = bytes(composed.read(document, whole, frozenset([documents.node_id(group)])).data) == rows
    lab.note(references=[plain, covered, left_out])
    yield from close(document)
