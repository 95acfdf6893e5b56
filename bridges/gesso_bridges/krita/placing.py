"""A result back in its document: found again by what outlives Krita's objects, and added in one step above the layer it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gesso.client import Result, ResultImage

from ..panel.task import Task
from . import documents, layers
from .boxes import Box
from .layers import Sheet
from .planes import Picture, picture, sampled, trimmed


class Homeless(Exception):
    """The document of a result is not open; the sentence is fit to show."""


def document_of(app: Any, memo: Mapping[str, Any]) -> Any | None:
    """The document that a result was made for, if it is still open."""
    return next((found for found in app.documents() if documents.identity(found) == memo.get("document")), None)


Part = tuple[int, int, Picture]
"""Where a picture begins in the result that it is a part of, and its pixels."""


SMALL = 440
"""The longest side of a picture that lists and the live view show: they scale it down to what they have room for."""


@dataclass(frozen=True)
class Made:
    """What a job's own thread makes of a result. ``parts``: its pictures as Krita takes them, without what is wholly transparent;
    ``small``: the first one for lists, None where there is none.
    """

    parts: Sequence[Part]
    small: Picture | None


def digest(result: Result) -> Made:
    """It takes its time, and belongs on a job's own thread."""
    return Made([trimmed(picture(image.plane())) for image in result.images], small(result))


def small(result: Result) -> Picture | None:
    """The first picture for lists. Of a result that is mapped it reads a part of its rows; raises OutputError where it is a file."""
    return sampled(result.images[0].plane(), SMALL) if result.images else None


def apply(app: Any, task: Task, *, anywhere: bool = False) -> str:
    """Add a task's pictures as a group of layers; gives a sentence. ``anywhere``: where their document is closed, to the active one.

    Raises Homeless. A picture of another size than the place it was made for (an enlarged one) becomes a document of its own.
    """
    result, memo, ready = task.result, task.memo, task.digest.parts
    assert result is not None
    document = document_of(app, memo)
    if document is None and anywhere and app.documents():
        document = app.activeDocument()
    if document is None:
        raise Homeless("The document was closed. The result is kept here: apply it to another document, or discard it.")
    box = Box(*memo["box"]) if "box" in memo else documents.canvas(document)
    if memo.get("from_image") and all(image.width > box.width and image.height > box.height for image in result.images):
        _open(app, result.images[0], ready[0], document, str(memo.get("name") or "Gesso"))
        return "Opened as a document of its own, because it is larger."
    sheets = [_sheet(image, part, box, len(result.images)) for image, part in zip(result.images, ready)]
    if memo.get("grow"):
        sheets = _grown(document, sheets)
    above = documents.node_of(document, memo.get("above"))
    group = layers.add_group(document, f"Gesso: {memo.get('name') or 'result'}", sheets, above)
    memo["layer"] = documents.node_id(group)
    return f"Added {len(sheets)} layers." if len(sheets) > 1 else "Added as a layer."


def _sheet(image: ResultImage, part: Part, box: Box, count: int) -> Sheet:
    """At the place that `edit` measured, else in the middle of the box."""
    inner = image.info.get("measured", {}).get("box")
    x, y = (inner[0], inner[1]) if inner else ((box.width - image.width) // 2, (box.height - image.height) // 2)
    name = image.role.replace("_", " ") if image.role != "image" else f"seed {image.seed}"
    name = name if count > 1 or image.role != "image" else f"result, {name}"
    return Sheet(name, box.x + x + part[0], box.y + y + part[1], part[2])


def _grown(document: Any, sheets: Sequence[Sheet]) -> list[Sheet]:
    """Let the canvas grow to hold the sheets; their places move along where it grows to the left or upwards."""
    room = documents.canvas(document)
    for sheet in sheets:
        room = room.united(sheet.box)
    document.resizeImage(room.x, room.y, room.width, room.height)
    document.waitForDone()
    return [Sheet(sheet.name, sheet.x - room.x, sheet.y - room.y, sheet.picture) for sheet in sheets]


def _open(app: Any, image: ResultImage, part: Part, like: Any, name: str) -> None:
    depth = {1: "U8", 2: "U16"}[part[2].depth]
    made = app.createDocument(image.width, image.height, name, "RGBA", depth, documents.SRGB, float(like.resolution()))
    app.activeWindow().addView(made)
    layers.add_group(made, f"Gesso: {name}", [Sheet("result", *part)], None)
