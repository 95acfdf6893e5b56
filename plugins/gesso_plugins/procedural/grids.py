"""Regular layouts that close at the border: courses of blocks, weaves and herringbone. They say where a pixel lies, not how it looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Field, Ids, float32, wrapped


@dataclass(frozen=True)
class Blocks:
    """What each pixel sees of a layout of rectangles."""

    ident: Ids
    """Index of the block, 0..count-1."""
    x: Field
    """Position in the block, 0..1 to the right."""
    y: Field
    """Position in the block, 0..1 downwards."""
    side_x: Field
    """Distance to the nearer vertical side, in units (the tile's shorter side)."""
    side_y: Field
    """Distance to the nearer horizontal side, in units."""
    count: int

    def edge(self, rounding: float = 0.0) -> Field:
        """Distance to the block's border in units, with corners of radius `rounding`; negative outside a rounded corner."""
        if rounding == 0.0:
            return np.minimum(self.side_x, self.side_y)
        x = np.maximum(rounding - self.side_x, 0.0)
        y = np.maximum(rounding - self.side_y, 0.0)
        inner = np.maximum(np.minimum(self.side_x, self.side_y) - rounding, 0.0)
        distance: Field = inner - np.sqrt(x * x + y * y) + rounding
        return distance


def courses(columns: int, shifts: Field, aspect: tuple[float, float], u: Field, v: Field, uneven: Field | None = None) -> Blocks:
    """Rows of `columns` blocks, each row moved by its entry of `shifts` (in blocks), so that any number of rows closes.

    `uneven` (rows, columns) moves the left side of each block by a share of a block (keep it within 0.4 either way).
    """
    rows = len(shifts)
    row_position = v * rows
    row = np.floor(row_position)
    y = row_position - row
    row_index = wrapped(row, rows)
    position = u * columns + shifts[row_index]
    cell = np.floor(position)
    column = wrapped(cell, columns)
    left: Field = position - cell
    width: Field = np.ones((1, 1), np.float32)
    if uneven is not None:
        left, width, column = _shifted_sides(left, column, row_index, uneven)
    side_x = np.minimum(left, width - left) * np.float32(aspect[0] / columns)
    side_y = np.minimum(y, 1.0 - y) * np.float32(aspect[1] / rows)
    return Blocks(row_index * columns + column, left / width, y, side_x, side_y, rows * columns)


def _shifted_sides(left: Field, column: Ids, row: Ids, uneven: Field) -> tuple[Field, Field, Ids]:
    """Distance from the block's true left side, its width, and its column, once the sides have been moved."""
    columns = uneven.shape[1]
    row = np.broadcast_to(row, column.shape)
    here = uneven[row, column]
    after = uneven[row, (column + 1) % columns]
    before = left < here
    beyond = left >= 1.0 + after
    column = (column - before + beyond) % columns
    start = uneven[row, column]
    stop = uneven[row, (column + 1) % columns]
    return left + before - beyond - start, 1.0 + stop - start, column


def half_bond(rows: int) -> Field:
    """Every other row moved by half a block; the number of rows must be even to close."""
    if rows % 2:
        raise ValueError(f"A half bond needs an even number of rows, and {rows} is odd.")
    return float32(np.arange(rows) % 2 * 0.5)


def random_bond(rng: np.random.Generator, rows: int) -> Field:
    """Every row moved at random, but well away from the joints of the row above (where the number of rows allows)."""
    steps = rng.uniform(0.3, 0.7, rows)
    return float32(np.cumsum(steps) % 1.0)


def checks(columns: int, rows: int, aspect: tuple[float, float], u: Field, v: Field) -> tuple[Blocks, Field]:
    """A plain grid and its chessboard colouring (0 or 1); both counts must be even for the colouring to close."""
    blocks = courses(columns, float32(np.zeros(rows)), aspect, u, v)
    parity = (np.floor(u * columns) + np.floor(v * rows)) % 2.0
    return blocks, float32(parity)


def herringbone(columns: int, rows: int, aspect: tuple[float, float], u: Field, v: Field) -> tuple[Blocks, Field]:
    """Two-by-one blocks in a herringbone on a grid of `columns` x `rows` squares (multiples of 4); also 1 where a block stands upright."""
    x, y = np.broadcast_arrays(u * columns, v * rows)
    i, j = np.floor(x), np.floor(y)
    part = wrapped(i - j, 4)
    upright = part >= 2
    start_x = i - (part == 1)
    start_y = j - (part == 2)
    along_x, along_y = x - start_x, y - start_y
    long_x, long_y = np.where(upright, 1.0, 2.0), np.where(upright, 2.0, 1.0)
    cell_x, cell_y = aspect[0] / columns, aspect[1] / rows
    side_x = float32(np.minimum(along_x, long_x - along_x) * cell_x)
    side_y = float32(np.minimum(along_y, long_y - along_y) * cell_y)
    ident = wrapped(start_y, rows) * columns + wrapped(start_x, columns)
    blocks = Blocks(ident, float32(along_x / long_x), float32(along_y / long_y), side_x, side_y, rows * columns)
    return blocks, float32(upright)
