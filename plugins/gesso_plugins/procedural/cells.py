"""Cellular (Worley) patterns on a jittered grid that wraps: which seed point is nearest, how far, how far to the border.

The nine neighbouring grid cells are searched in numpy; points never leave their grid cell, so nothing beyond them can win by much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Field, Ids, float32


@dataclass(frozen=True)
class Points:
    """One seed point in each cell of a `columns` x `rows` grid, as fractions (0..1) of the cell, shape (rows, columns)."""

    x: Field
    y: Field
    spacing: tuple[float, float] = (1.0, 1.0)
    """Physical size of a grid cell, so that distances come out in units of one."""

    @property
    def columns(self) -> int:
        """Grid cells along x."""
        return self.x.shape[1]

    @property
    def rows(self) -> int:
        """Grid cells along y."""
        return self.x.shape[0]

    @property
    def count(self) -> int:
        """How many points there are."""
        return self.x.size


@dataclass(frozen=True)
class Cells:
    """What each pixel sees of the pattern; all lengths are in grid cells."""

    ident: Ids
    """Index of the nearest point, 0..count-1."""
    nearest: Field
    """Distance to it."""
    edge: Field
    """Distance to the border with the next cell."""
    dx: Field
    """Vector from the nearest point to the pixel, x to the right."""
    dy: Field
    """Vector from the nearest point to the pixel, y downwards."""
    count: int


def jittered_points(
    rng: np.random.Generator, columns: int, rows: int, jitter: float, staggered: bool = False, spacing: tuple[float, float] = (1.0, 1.0)
) -> Points:
    """Random points: `jitter` 0 is a regular grid, 1 fills the cell; staggered rows (an even number of them) make hexagons."""
    x = 0.5 + (rng.random((rows, columns)) - 0.5) * jitter
    y = 0.5 + (rng.random((rows, columns)) - 0.5) * jitter
    if staggered:
        x = 0.5 + (x - 0.5) * 0.5 + np.where(np.arange(rows) % 2 == 0, -0.25, 0.25)[:, None]
    return Points(float32(x), float32(y), spacing)


def worley(points: Points, u: Field, v: Field) -> Cells:
    """The pattern at tile coordinates (u, v), in tiles: any real number, the pattern wraps at 1."""
    columns, rows = points.columns, points.rows
    x, y = np.broadcast_arrays(u * columns, v * rows)
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    base = (top.astype(np.int32) % rows + 1) * (columns + 2) + (left.astype(np.int32) % columns + 1)
    wide_x, wide_y = _padded(points.x), _padded(points.y)
    first, second = _two_nearest(base, fx, fy, wide_x, wide_y, columns + 2, points.spacing)
    x1, y1, where1 = _decode(first, base, fx, fy, wide_x, wide_y, columns + 2, points.spacing)
    x2, y2, _ = _decode(second, base, fx, fy, wide_x, wide_y, columns + 2, points.spacing)
    d1, d2 = x1 * x1 + y1 * y1, x2 * x2 + y2 * y2
    apart = np.sqrt((x1 - x2) ** 2 + (y1 - y2) ** 2)
    edge = (d2 - d1) / np.maximum(2.0 * apart, 1e-6)
    index = np.arange(points.count, dtype=np.int32).reshape(rows, columns)
    return Cells(np.take(_padded(index), where1), np.sqrt(d1), edge, x1, y1, points.count)


def _padded(table: Field | Ids) -> Field:
    """A ring of wrapped neighbours around a table, flattened, so that a neighbour is one constant step away."""
    return np.pad(table, 1, mode="wrap").ravel()


def _two_nearest(
    base: Ids, fx: Field, fy: Field, wide_x: Field, wide_y: Field, stride: int, spacing: tuple[float, float]
) -> tuple[Ids, Ids]:
    """Codes 0..8 of the nearest and second nearest neighbour cell.

    A positive float32 sorts like its bits, so the code rides in the low four bits of the squared distance and two integer
    minima carry distance and code at once.
    """
    first = np.full(base.shape, 0x7F000000, np.int32)
    second = first.copy()
    for code in range(9):
        i, j = code % 3 - 1, code // 3 - 1
        where = base + (j * stride + i)
        dx = (np.take(wide_x, where) + (i - fx)) * np.float32(spacing[0])
        dy = (np.take(wide_y, where) + (j - fy)) * np.float32(spacing[1])
        key = ((dx * dx + dy * dy).view(np.int32) & ~15) | code
        np.minimum(second, np.maximum(first, key), out=second)
        np.minimum(first, key, out=first)
    return first & 15, second & 15


def _decode(
    code: Ids, base: Ids, fx: Field, fy: Field, wide_x: Field, wide_y: Field, stride: int, spacing: tuple[float, float]
) -> tuple[Field, Field, Ids]:
    """Vector from the coded neighbour's point to the pixel, and that neighbour's place in the padded tables."""
    i = np.array([c % 3 - 1 for c in range(9)], np.float32)
    j = np.array([c // 3 - 1 for c in range(9)], np.float32)
    step = np.array([(c // 3 - 1) * stride + c % 3 - 1 for c in range(9)], np.int32)
    where = base + np.take(step, code)
    dx = (fx - np.take(wide_x, where) - np.take(i, code)) * np.float32(spacing[0])
    dy = (fy - np.take(wide_y, where) - np.take(j, code)) * np.float32(spacing[1])
    return dx, dy, where
