"""Rectangles of whole pixels, half open, and the few moves that editing makes with them. It knows no mask and no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def diagonal(self) -> float:
        """Pixels from corner to corner."""
        return float(np.hypot(self.width, self.height))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an array."""
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def contains(self, other: Box) -> bool:
        """Whether no pixel of the other lies outside."""
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom

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

    def clipped(self, canvas: Box) -> Box:
        """What of it lies on the canvas."""
        x, y = max(self.x, canvas.x), max(self.y, canvas.y)
        return Box(x, y, max(0, min(self.right, canvas.right) - x), max(0, min(self.bottom, canvas.bottom) - y))

    def rounded(self, multiple: int) -> Box:
        """Grown about its middle until both sides are multiples."""
        return self.at_least(-(-self.width // multiple) * multiple, -(-self.height // multiple) * multiple)


def bounds(mask: npt.NDArray[np.generic]) -> Box | None:
    """The smallest box around everything above zero in a mask (H, W); None where there is nothing."""
    marked = np.asarray(mask != 0)
    return box_of(np.logical_or.reduce(marked, 1), np.logical_or.reduce(marked, 0))


def box_of(down: npt.NDArray[np.bool_], across: npt.NDArray[np.bool_]) -> Box | None:
    """The smallest box around the rows and columns that are marked; None where none is."""
    rows, columns = np.flatnonzero(down), np.flatnonzero(across)
    if not len(rows) or not len(columns):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1))
