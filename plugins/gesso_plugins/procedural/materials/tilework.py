"""Fired and cut: ceramic tiles, hexagons, mosaic, roof tiles, stained glass, parquet's cold cousins."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, Ids, float32, luminance, mix, per_cell, rgb, smoothstep, tint, wrapped
from ..canvas import Canvas
from ..grids import courses, half_bond
from ..registry import material
from ..surface import Surface

GLAZED = ("cracked", "dirty", "worn", "wet")


def grout(canvas: Canvas) -> Field:
    """Sanded grout that stands out from the tiles, as planes."""
    shade = rgb(0.80, 0.79, 0.76) if luminance(canvas.main) < 0.62 else rgb(0.42, 0.41, 0.40)
    return tint(shade, 1.0 + 0.04 * canvas.noise(30.0, 0.4, high=200.0))


@material(
    "tiles",
    words=("ceramic tiles", "tiles", "bathroom tiles", "wall tiles", "kitchen tiles", "square tiles", "tile"),
    wear=GLAZED,
)
def tiles(canvas: Canvas) -> Surface:
    """Square glazed tiles with pillowed edges."""
    columns, rows = canvas.counts(canvas.by_scale(8, 5, 3))
    blocks = courses(columns, float32(np.zeros(rows)), canvas.aspect, canvas.u, canvas.v)
    gap = 0.028 * canvas.aspect[1] / rows
    edge = blocks.edge(gap * 2.5)
    body, pillow = smoothstep(gap * 0.8, gap * 1.2, edge), smoothstep(gap * 0.8, gap * 5.0, edge)
    glaze = canvas.noise(3.0, 1.6, high=48.0)
    face = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.045, 0.015) * (0.93 + 0.07 * pillow + 0.02 * glaze)
    colour = mix(grout(canvas), face, body)
    return Surface(colour, 0.4 * body + 0.6 * pillow + 0.02 * glaze, relief=0.010, roughness=0.85 - 0.73 * body)


@material(
    "hexagon_tiles",
    words=("hexagon tiles", "hexagonal tiles", "hex tiles", "hexagons"),
    adjectives=("hexagonal", "hexagon"),
    absorbs=("tiles",),
    wear=GLAZED,
)
def hexagon_tiles(canvas: Canvas) -> Surface:
    """Six-sided glazed tiles."""
    cells = canvas.cells(canvas.by_scale(10, 7, 4) * 1.075, 0.0, staggered=True, stretch=1.155)
    body, pillow = smoothstep(0.035, 0.06, cells.edge), smoothstep(0.035, 0.17, cells.edge)
    face = canvas.shaded(canvas.main, cells.ident, cells.count, 0.10, 0.02) * (0.94 + 0.06 * pillow)
    height = 0.4 * body + 0.6 * pillow
    return Surface(mix(grout(canvas), face, body), height, relief=0.009, roughness=0.85 - 0.7 * body)


@material(
    "mosaic",
    words=("mosaic", "mosaic tiles", "glass mosaic", "pool mosaic"),
    colours=("blue", "teal", "green", "red", "orange", "white", "purple"),
    absorbs=("tiles",),
    wear=GLAZED,
)
def mosaic(canvas: Canvas) -> Surface:
    """Small hand-cut glass squares in many shades."""
    columns, rows = canvas.counts(canvas.by_scale(22, 16, 11))
    u, v = canvas.warped(0.004, 5.0, 1.6)
    blocks = courses(
        columns,
        float32(np.zeros(rows)),
        canvas.aspect,
        u,
        v,
        canvas.table(rows * columns, -0.1, 0.1).reshape(rows, columns),
    )
    gap = 0.07 * canvas.aspect[1] / rows
    body = smoothstep(gap * 0.7, gap * 1.5, blocks.edge(gap * 1.5))
    shade = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.30, 0.10)
    lean_x, lean_y = (canvas.spread(blocks.ident, blocks.count, -0.3, 0.3) for _ in range(2))
    lean = lean_x * (blocks.x - 0.5) + lean_y * (blocks.y - 0.5)
    return Surface(mix(grout(canvas), shade, body), body * (0.8 + lean), relief=0.007, roughness=0.85 - 0.7 * body)


@material(
    "roof_tiles",
    words=("roof tiles", "roof shingles", "clay roof", "shingles", "roof"),
    colours=("red", "red", "orange", "brown", "grey", "black", "green"),
    absorbs=("tiles",),
    wear=("mossy", "dirty", "worn", "snowy", "wet"),
)
def roof_tiles(canvas: Canvas) -> Surface:
    """Overlapping tiles with rounded lower ends, each row covering the one beneath."""
    columns, rows = canvas.counts(canvas.by_scale(14, 10, 6), stretch=1.25, even_rows=True)
    reach = 1.42
    height, ident, rim = overlapping(canvas, columns, rows, reach, flat=0.55)
    grain = canvas.noise(12.0, 0.9, high=200.0)
    face = canvas.shaded(canvas.main, ident, columns * rows, 0.15, 0.05)
    colour = face * ((0.45 + 0.55 * rim) * (0.94 + 0.06 * grain))
    return Surface(colour, height + 0.03 * grain, relief=0.020 * 10 / canvas.by_scale(14, 10, 6), roughness=0.8)


def overlapping(canvas: Canvas, columns: int, rows: int, reach: float, flat: float) -> tuple[Field, Ids, Field]:
    """Rows of scales, each hanging `reach` rows down over the next: height, index of the scale seen, distance 0..1 from its rim.

    `flat` is the share of a scale above its rounded end: 0 makes half discs, 1 rectangles.
    """
    position = canvas.v * rows
    row = np.floor(position)
    down = position - row
    best_height: Field = np.full((1, 1), -1.0, np.float32)
    ident: Ids = np.zeros((1, 1), np.intp)
    rim: Field = np.zeros((1, 1), np.float32)
    for above in (1, 0):
        index = wrapped(row - above, rows)
        along = down + above
        shift = 0.5 * (index % 2)
        cell = canvas.u * columns + shift
        column = np.floor(cell)
        across = (cell - column - 0.5) * 2.0
        end = float32(np.maximum(along / reach - flat, 0.0) / (1.0 - flat))
        inside = (
            1.0 - np.sqrt(across**2 * np.minimum(1.0, 0.25 + end) + end**2)
            if flat < 0.3
            else 1.0 - np.maximum(np.abs(across) ** 6 * 0.9, np.sqrt(across**2 * end**0.5 + end**2))
        )
        height = 0.15 + 0.85 * along / reach + 0.12 * (1.0 - across**2)
        seen = (inside > 0.0) & (height > best_height)
        best_height = np.where(seen, height, best_height)
        ident = np.where(seen, index * columns + wrapped(column, columns), ident)
        rim = np.where(seen, smoothstep(0.0, 0.22, inside), rim)
    return best_height, ident, rim


@material(
    "stained_glass",
    words=("stained glass", "stained glass window", "leaded glass", "cathedral glass", "glass"),
    second=(),
    wear=("dirty", "cracked", "wet"),
)
def stained_glass(canvas: Canvas) -> Surface:
    """Panes of coloured glass between strips of lead."""
    cells = canvas.cells(canvas.by_scale(8, 6, 4), 0.95)
    lead = 1.0 - smoothstep(0.045, 0.075, cells.edge)
    kinds = np.stack(
        (
            canvas.main,
            canvas.main * 0.65 + canvas.second * 0.2,
            canvas.second,
            canvas.second * 0.5 + 0.42,
            canvas.main * 0.55 + 0.40,
        ),
        axis=1,
    )
    kind = canvas.paint.choice(5, cells.count, p=(0.32, 0.14, 0.32, 0.11, 0.11))
    streak = canvas.noise(3.0, 1.2, high=64.0, stretch=3.0, angle=1.0)
    pane = per_cell(float32(kinds[:, kind] * 1.15), cells.ident) * (0.92 + 0.10 * streak + 0.25 * np.exp(-3.0 * cells.nearest**2))
    colour = mix(pane, rgb(0.10, 0.10, 0.11), lead)
    bulge = 1.0 - np.minimum((cells.edge / 0.06 - 0.0) ** 2, 1.0)
    return Surface(colour, 0.75 * bulge + 0.05 * streak, relief=0.010, roughness=0.08 + 0.5 * lead, metallic=lead * np.float32(0.6))


@material(
    "subway_tiles",
    words=("subway tiles", "metro tiles", "brick tiles"),
    colours=("white", "white", "green", "blue", "teal", "black", "beige", "pink"),
    absorbs=("tiles",),
    wear=GLAZED,
)
def subway_tiles(canvas: Canvas) -> Surface:
    """Long bevelled tiles in a half bond, very glossy."""
    columns, rows = canvas.counts(canvas.by_scale(10, 8, 6), stretch=2.0, even_rows=True)
    blocks = courses(columns, half_bond(rows), canvas.aspect, canvas.u, canvas.v)
    cell = canvas.aspect[1] / rows
    edge = blocks.edge()
    body = smoothstep(cell * 0.03, cell * 0.045, edge)
    bevel = np.clip((edge - cell * 0.03) / (cell * 0.17), 0.0, 1.0)
    face = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.03, 0.01)
    return Surface(mix(grout(canvas), face, body), 0.2 * body + 0.8 * bevel, relief=0.085 * cell, roughness=0.85 - 0.8 * body)
