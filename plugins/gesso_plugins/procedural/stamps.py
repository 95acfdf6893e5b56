"""Loose things strewn about: one mark in each cell of a shifted grid, turned at random. It places marks and leaves their shape to the painter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Field, Ids, float32, hypot, per_cell, wrapped
from .canvas import Canvas


@dataclass(frozen=True)
class Stamps:
    """The mark that each pixel may belong to, in the mark's own frame, where its size is 1."""

    ident: Ids
    x: Field
    """Along the mark."""
    y: Field
    """Across it."""
    distance: Field
    """From its centre."""
    kept: Field
    """1 if the mark exists, 0 if this cell was left empty."""
    lean: Field
    """A random number from -1 to 1 for each mark."""
    count: int


def stamps(
    canvas: Canvas, per_unit: float, size: float, keep: float = 1.0, jitter: float | None = None, spread: float = np.pi
) -> Stamps:
    """Strew marks of radius `size` (in cells, at most a half) with probability `keep`, turned by up to `spread` radians either way.

    A mark must stay inside its cell, so it can only be moved by what its size leaves: `jitter` is that much by default.
    """
    columns, rows = canvas.counts(per_unit)
    count = columns * rows
    shift_u, shift_v = canvas.uniform(0.0, 1.0), canvas.uniform(0.0, 1.0)
    x, y = (canvas.u + np.float32(shift_u)) * columns, (canvas.v + np.float32(shift_v)) * rows
    left, top = np.floor(x), np.floor(y)
    ident = wrapped(top, rows) * columns + wrapped(left, columns)
    room = max(0.5 - size, 0.0) if jitter is None else jitter
    size_of = float32(size * canvas.rng.uniform(0.72, 1.0, count))
    turn = canvas.rng.uniform(-spread, spread, count)
    rest = [per_cell(float32(t), ident) for t in (np.cos(turn) / size_of, np.sin(turn) / size_of)]
    move_x, move_y, lean = (canvas.table(count, -1.0, 1.0) for _ in range(3))
    kept = float32(canvas.table(count) < keep)
    dx = x - left - 0.5 - per_cell(move_x * np.float32(room), ident)
    dy = y - top - 0.5 - per_cell(move_y * np.float32(room), ident)
    along, aside = dx * rest[0] + dy * rest[1], dy * rest[0] - dx * rest[1]
    return Stamps(ident, along, aside, hypot(along, aside), per_cell(kept, ident), per_cell(lean, ident), count)
