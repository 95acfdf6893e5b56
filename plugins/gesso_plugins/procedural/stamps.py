"""Loose things strewn about: one mark in each cell of a shifted grid, turned at random. It places marks; their shape is the painter's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .arrays import Field, Ids, float32, hypot, wrapped
from .canvas import Canvas


@dataclass(frozen=True)
class Stamps:
    """The mark that each pixel may belong to, in the mark's own frame, where its size is 1."""

    ident: Ids
    x: Field
    """Along the mark."""
    y: Field
    """Across it."""
    kept: Field
    """1 if the mark exists, 0 if this cell was left empty."""
    lean: Field
    """A random number from -1 to 1 for each mark."""
    count: int

    @property
    def distance(self) -> Field:
        """From the centre of the mark."""
        return hypot(self.x, self.y)


@dataclass(frozen=True)
class Pile:
    """The topmost marks of several layers of them, each pixel in the frame of the mark that it sees."""

    ident: Ids
    """Index of the mark over all layers, 0..count-1; meaningless where nothing lies."""
    x: Field
    y: Field
    lean: Field
    body: Field
    """What the shape returned: positive inside a mark, 0 where the ground shows."""
    layer: Field
    """Which layer lies on top, counted from 1; 0 where the ground shows."""
    count: int


Shape = Callable[[Stamps], Field]
"""Positive inside a mark, 0 or less outside."""


def stamps(canvas: Canvas, per_unit: float, size: float, keep: float = 1.0, jitter: float | None = None, spread: float = np.pi) -> Stamps:
    """Strew marks of radius `size` (in cells, at most a half) with probability `keep`, turned by up to `spread` radians either way.

    A mark must stay inside its cell, so it can only be moved by what its size leaves: `jitter` is that much by default.
    """
    columns, rows = canvas.counts(per_unit)
    count = columns * rows
    x = (canvas.u + np.float32(canvas.uniform(0.0, 1.0))) * columns
    y = (canvas.v + np.float32(canvas.uniform(0.0, 1.0))) * rows
    left, top = np.floor(x), np.floor(y)
    column, row = wrapped(left[0], columns), wrapped(top[:, 0], rows)

    def laid(table: Field) -> Field:
        """A table of one value a cell over the pixels: by columns, then by rows, since the grid is straight."""
        return np.take(np.take(table.reshape(rows, columns), column, axis=1), row, axis=0)

    room = np.float32(max(0.5 - size, 0.0) if jitter is None else jitter)
    size_of = canvas.table(count, 0.72 * size, size)
    turn = canvas.table(count, -spread, spread)
    cosine, sine = laid(np.cos(turn) / size_of), laid(np.sin(turn) / size_of)
    move_x, move_y, lean = (canvas.table(count, -1.0, 1.0) for _ in range(3))
    kept = float32(canvas.table(count) < keep)
    dx = (x - left - np.float32(0.5)) - laid(move_x * room)
    dy = (y - top - np.float32(0.5)) - laid(move_y * room)
    along, aside = dx * cosine + dy * sine, dy * cosine - dx * sine
    ident = row[:, None] * columns + column
    return Stamps(ident, along, aside, laid(kept), laid(lean), count)


def pile(canvas: Canvas, densities: Sequence[float], shape: Shape, *, keep: float = 1.0, spread: float = np.pi) -> Pile:
    """Layers of marks, one a density (marks a unit), the last on top.

    Marks fill their cells, so layers should differ in density, or their grids show.
    """
    size = (canvas.height, canvas.width)
    x, y, lean, body, layer = (np.zeros(size, np.float32) for _ in range(5))
    ident = np.zeros(size, np.intp)
    count = 0
    for number, per_unit in enumerate(densities):
        mark = stamps(canvas, per_unit, 0.5, keep, 0.05, spread)
        inside = shape(mark) * mark.kept
        seen = inside > 0.0
        for total, part in ((x, mark.x), (y, mark.y), (lean, mark.lean), (body, inside), (ident, mark.ident + count)):
            np.copyto(total, part, where=seen)
        layer[seen] = number + 1
        count += mark.count
    return Pile(ident, x, y, lean, body, layer, count)
