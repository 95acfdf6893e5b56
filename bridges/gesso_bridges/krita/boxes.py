"""Rectangles of whole pixels, and which of them an edit needs. It knows no host: what leaves Krita is decided here, and read elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

LARGEST_GROWTH = 4096
"""Pixels that `edit` lets the canvas grow by on a side."""
LARGEST_GROW, LARGEST_FEATHER = 16, 96
"""How far `edit` reaches at most unless it is told otherwise (docs/editing.md): what it does not need of that it cuts away itself."""
LEAST_CONTEXT = 1024
"""The largest favourite side of the usual models: the daemon cuts down to what its model likes, and cannot ask for more."""


class NothingToEdit(ValueError):
    """The selection leaves nothing that could be edited; the sentence is fit to show."""


@dataclass(frozen=True)
class Box:
    """x and y of the upper left pixel, and a size."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column outside."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row outside."""
        return self.y + self.height

    @property
    def empty(self) -> bool:
        """Whether it has no pixel."""
        return self.width <= 0 or self.height <= 0

    def cut(self, other: Box) -> Box:
        """What both have in common; empty where that is nothing."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Box(x, y, max(0, min(self.right, other.right) - x), max(0, min(self.bottom, other.bottom) - y))

    def united(self, other: Box) -> Box:
        """The smallest box around both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Box(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def padded(self, margin: int) -> Box:
        """Larger by a margin on every side."""
        return Box(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def at_least(self, width: int, height: int) -> Box:
        """Grown about its middle to a size."""
        more_x, more_y = max(0, width - self.width), max(0, height - self.height)
        return Box(self.x - more_x // 2, self.y - more_y // 2, self.width + more_x, self.height + more_y)

    def within(self, canvas: Box) -> Box:
        """Moved into the canvas; made smaller only where it is larger than the canvas."""
        width, height = min(self.width, canvas.width), min(self.height, canvas.height)
        x = min(max(self.x, canvas.x), canvas.right - width)
        y = min(max(self.y, canvas.y), canvas.bottom - height)
        return Box(x, y, width, height)


@dataclass(frozen=True)
class Wishes:
    """What the user set of the lengths; None leaves them to `edit`."""

    strength: float = 1.0
    grow: int | None = None
    feather: int | None = None
    padding: float = 0.33
    beyond: bool = True
    """Whether a selection that crosses the border of the canvas paints outside as well."""


@dataclass(frozen=True)
class Plan:
    """``selected``: what is edited; ``context``: what the result may cover and the mask has; ``read``: what of it lies on the canvas and
    leaves the host; ``growth``: pixels beyond the canvas (left, top, right, bottom).
    """

    selected: Box
    context: Box
    read: Box

    @property
    def growth(self) -> tuple[int, int, int, int]:
        """Pixels of the context beyond what is read: left, top, right, bottom."""
        context, read = self.context, self.read
        return read.x - context.x, read.y - context.y, context.right - read.right, context.bottom - read.bottom


def plan(selection: Box | None, canvas: Box, wishes: Wishes) -> Plan:
    """What an edit of the selection (None: the whole canvas) needs; raises NothingToEdit.

    It is at least as much as `edit` uses, so that the model sees what it would see if the whole picture had been sent.
    """
    if selection is None or selection.empty:
        return Plan(canvas, canvas, canvas)
    room = canvas.united(selection).cut(canvas.padded(LARGEST_GROWTH)) if wishes.beyond else canvas
    selected = selection.cut(room)
    if selected.empty:
        raise NothingToEdit("The selection lies outside of the canvas: move it so that it covers some of the picture.")
    grow = LARGEST_GROW if wishes.grow is None else wishes.grow
    feather = LARGEST_FEATHER if wishes.feather is None else wishes.feather
    reached = selected.padded(grow + feather)
    padding = int(wishes.padding * wishes.strength * max(reached.width, reached.height)) + 1
    least = LEAST_CONTEXT if wishes.strength >= 1 else LEAST_CONTEXT // 2
    context = reached.padded(padding).at_least(least, least).within(room)
    read = context.cut(canvas)
    if read.empty:
        raise NothingToEdit("The selection is too far from the canvas: move it so that it touches the picture.")
    return Plan(selected, context, read)
