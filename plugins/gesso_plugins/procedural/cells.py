"""Cellular (Worley) patterns on a jittered grid that wraps: which seed point is nearest, how far, how far to the border.

The nine neighbouring grid cells are searched in numpy; points never leave their grid cell, so nothing beyond them can win by much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Field, Ids, float32, wrapped

_BLOCK = 1 << 14
"""Pixels searched at a time, so that the work stays in the cache."""


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
        return int(self.x.shape[1])

    @property
    def rows(self) -> int:
        """Grid cells along y."""
        return int(self.x.shape[0])

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
    """Distance to the border with the second nearest cell: exact at the border, but creased deep inside."""
    gap: Field
    """Half the difference of the distances to the two nearest points: 0 at the border too, and smooth inside."""
    dx: Field
    """Vector from the nearest point to the pixel, x to the right."""
    dy: Field
    """Vector from the nearest point to the pixel, y downwards."""
    count: int


def jittered_points(
    rng: np.random.Generator,
    columns: int,
    rows: int,
    jitter: float,
    staggered: bool = False,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> Points:
    """Random points: `jitter` 0 is a regular grid, 1 fills the cell; staggered rows (an even number of them) make hexagons."""
    x = 0.5 + (rng.random((rows, columns)) - 0.5) * jitter
    y = 0.5 + (rng.random((rows, columns)) - 0.5) * jitter
    if staggered:
        x = 0.5 + (x - 0.5) * 0.5 + np.where(np.arange(rows) % 2 == 0, -0.25, 0.25)[:, None]
    return Points(float32(x), float32(y), spacing)


def worley(points: Points, u: Field, v: Field, push: tuple[Field, Field] | None = None) -> Cells:
    """The pattern at tile coordinates u (1, W) and v (H, 1), in tiles: any real number, the pattern wraps at 1.

    `push` moves each pixel by that many grid cells (right, down); beyond 0.4 of a cell it is cut, or the search would miss points.
    """
    search = _Search(points, u[0], v[:, 0])
    height, width = v.shape[0], u.shape[1]
    ident = np.empty((height, width), np.intp)
    layers = np.empty((5, height, width), np.float32)
    step = max(1, _BLOCK // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        pushed = None if push is None else tuple(np.clip(part[rows], -0.4, 0.4) for part in push)
        search.look(rows, pushed, ident[rows], layers[:, rows])
    nearest, edge, gap, dx, dy = layers
    return Cells(ident, nearest, edge, gap, dx, dy, points.count)


class _Search:
    """The nine neighbours of every pixel, as tables by grid row: all pixels of one column in one grid row share their neighbours' x."""

    def __init__(self, points: Points, u: Field, v: Field) -> None:
        x, y = u * points.columns, v * points.rows
        column, row = wrapped(np.floor(x), points.columns), wrapped(np.floor(y), points.rows)
        self.wide, self.high = (np.float32(size) for size in points.spacing)
        self.down = ((y - np.floor(y)) * self.high)[:, None]
        self.row = row
        index = np.arange(points.count, dtype=np.intp).reshape(points.rows, points.columns)
        around = [_neighbours(code) for code in range(9)]
        places = [np.roll(index, (-j, -i), (0, 1))[:, column] for i, j in around]
        self.ident = np.stack(places)
        within = x - np.floor(x)
        self.dx = np.stack([(points.x.ravel()[at] + (i - within)) * self.wide for at, (i, _) in zip(places, around, strict=True)])
        self.y = np.stack([(points.y.ravel()[at] + j) * self.high for at, (_, j) in zip(places, around, strict=True)])
        self.dx_squared = self.dx * self.dx

    def look(self, rows: slice, push: tuple[Field, ...] | None, ident: Ids, layers: Field) -> None:
        """Fill index and (nearest, edge, gap, dx, dy) for some rows of pixels."""
        row, down = self.row[rows], self.down[rows]
        right: Field = np.zeros((1, 1), np.float32)
        if push is not None:
            right, down = push[0] * self.wide, down + push[1] * self.high
        first, second = self._two_nearest(row, down, right if push is not None else None)
        width = self.dx.shape[2]
        base = row[:, None] * width + np.arange(width)
        one, two = (base + code * np.intp(self.dx[0].size) for code in (first, second))
        np.take(self.ident, one, out=ident, mode="clip")
        x1, y1 = right - np.take(self.dx, one), down - np.take(self.y, one)
        x2, y2 = right - np.take(self.dx, two), down - np.take(self.y, two)
        d1, d2 = x1 * x1 + y1 * y1, x2 * x2 + y2 * y2
        apart = np.sqrt((x1 - x2) ** 2 + (y1 - y2) ** 2)
        layers[0] = np.sqrt(d1)
        layers[1] = (d2 - d1) / np.maximum(2.0 * apart, np.float32(1e-6))
        layers[2] = (np.sqrt(d2) - layers[0]) * np.float32(0.5)
        layers[3], layers[4] = x1, y1

    def _two_nearest(self, row: Ids, down: Field, right: Field | None) -> tuple[Ids, Ids]:
        """Codes 0..8 of the nearest and second nearest neighbour.

        A positive float32 sorts like its bits, so the code rides in the low four bits of the squared distance and two integer
        minima carry distance and code at once.
        """
        first = np.full((len(row), self.dx.shape[2]), 0x7F000000, np.int32)
        second = first.copy()
        larger = np.empty_like(first)
        for code in range(9):
            distance = np.take(self.y[code], row, axis=0)
            distance -= down
            distance *= distance
            if right is None:
                distance += np.take(self.dx_squared[code], row, axis=0)
            else:
                across = np.take(self.dx[code], row, axis=0)
                across -= right
                across *= across
                distance += across
            key = distance.view(np.int32)
            key &= ~15
            key |= code
            np.minimum(second, np.maximum(first, key, out=larger), out=second)
            np.minimum(first, key, out=first)
        return first & 15, second & 15


def _neighbours(code: int) -> tuple[int, int]:
    """The step (right, down) to one of the nine cells of a neighbourhood."""
    return code % 3 - 1, code // 3 - 1
