"""Printed patterns of two colours: checks, stripes, dots, chevrons, argyle, camouflage."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, mix, rgb, smoothstep, tint, wrapped
from ..canvas import Canvas
from ..grids import checks
from ..registry import SOFT, material
from ..surface import Surface


def printed(canvas: Canvas, colour: Field) -> Surface:
    """Ink on fine, matt cloth."""
    weave = canvas.noise(36.0, 0.3, high=200.0)
    return Surface(colour * (1.0 + 0.025 * weave), weave, relief=0.0006, roughness=0.9)


@material(
    "checkerboard",
    words=("checkerboard", "checkered tiles", "chessboard", "checkered floor", "checks"),
    adjectives=("checkered",),
    second=(),
    absorbs=("tiles",),
    wear=("cracked", "dirty", "worn", "wet"),
)
def checkerboard(canvas: Canvas) -> Surface:
    """Polished square tiles of two colours by turns."""
    columns, rows = canvas.counts(canvas.by_scale(12, 8, 4), even_rows=True)
    columns += columns % 2
    blocks, odd = checks(columns, rows, canvas.aspect, canvas.u, canvas.v)
    cell = canvas.aspect[1] / rows
    joint = smoothstep(cell * 0.008, cell * 0.03, blocks.edge())
    cloud = canvas.noise(3.0, 1.5, high=96.0)
    shade = 1.0 + canvas.spread(blocks.ident, blocks.count, -0.05, 0.05) + 0.035 * cloud
    colour = mix(canvas.main, canvas.second, odd) * (shade * (0.62 + 0.38 * joint))
    return Surface(colour, joint, relief=0.003, roughness=0.22 + 0.5 * (1.0 - joint))


@material(
    "stripes",
    words=("stripes", "striped fabric", "striped wallpaper"),
    adjectives=("striped",),
    second=(),
    absorbs=("fabric", "paper"),
    variants=("vertical", "horizontal", "diagonal"),
    wear=SOFT,
)
def stripes(canvas: Canvas) -> Surface:
    """Even bands of two colours."""
    columns, rows = canvas.counts(canvas.by_scale(10, 6, 4))
    variant = canvas.recipe.variant
    along = {"vertical": canvas.u * columns, "horizontal": canvas.v * rows}.get(variant, canvas.u * columns + canvas.v * rows)
    part = along - np.floor(along)
    edge = np.abs(part - 0.5) - 0.25
    band = smoothstep(0.02, -0.02, edge)
    return printed(canvas, mix(canvas.main, canvas.second, band + np.zeros((canvas.height, canvas.width), np.float32)))


@material(
    "polka_dots",
    words=("polka dots", "dots", "polka dot fabric", "spots", "dotted fabric"),
    second=(),
    absorbs=("fabric", "paper"),
    wear=SOFT,
)
def polka_dots(canvas: Canvas) -> Surface:
    """Dots of the main colour in staggered rows on the second."""
    cells = canvas.cells(canvas.by_scale(10, 7, 4) * 1.075, 0.0, staggered=True, stretch=1.155)
    dot = smoothstep(0.30, 0.27, cells.nearest)
    return printed(canvas, mix(canvas.second, canvas.main, dot))


@material(
    "chevron",
    words=("chevron", "zigzag", "chevron pattern", "zig zag", "chevrons"),
    second=(),
    absorbs=("fabric", "paper"),
    wear=SOFT,
)
def chevron(canvas: Canvas) -> Surface:
    """Zigzag bands of two colours."""
    columns, rows = canvas.counts(canvas.by_scale(8, 5, 3))
    x = canvas.u * columns
    fold = np.abs(x - np.floor(x) - 0.5)
    along = canvas.v * rows + fold * 1.0
    part = along - np.floor(along)
    band = smoothstep(0.02, -0.02, np.abs(part - 0.5) - 0.25)
    return printed(canvas, mix(canvas.main, canvas.second, band))


@material(
    "argyle",
    words=("argyle", "argyle pattern", "diamond pattern", "harlequin"),
    second=(),
    absorbs=("fabric", "paper"),
    wear=SOFT,
)
def argyle(canvas: Canvas) -> Surface:
    """Upright diamonds crossed by thin dashed lines."""
    columns, rows = canvas.counts(canvas.by_scale(6, 4, 3), stretch=0.75)
    x, y = canvas.u * columns, canvas.v * rows
    first, second = x + y, x - y
    a, b = first - np.floor(first), second - np.floor(second)
    tile_a, tile_b = np.floor(first), np.floor(second)
    diamond = (tile_a + tile_b) % 2.0
    line_a, line_b = np.abs(a - 0.5), np.abs(b - 0.5)
    dash_a = smoothstep(0.0, 0.4, np.sin(np.float32(2.0 * np.pi * 6.0) * second))
    dash_b = smoothstep(0.0, 0.4, np.sin(np.float32(2.0 * np.pi * 6.0) * first))
    dashes = np.maximum(smoothstep(0.040, 0.026, line_a) * dash_a, smoothstep(0.040, 0.026, line_b) * dash_b)
    colour = mix(canvas.main, canvas.second, diamond)
    stitch = np.clip(canvas.main * 0.35 + canvas.second * 0.25 + 0.42, 0.0, 1.0)
    colour = mix(colour, stitch, dashes)
    return printed(canvas, colour)


@material(
    "camouflage",
    words=("camouflage", "camo", "military camouflage", "camo pattern"),
    colours=("green", "green", "green", "brown", "grey", "beige", "blue"),
    variants=("classic", "digital"),
    wear=SOFT,
)
def camouflage(canvas: Canvas) -> Surface:
    """Four related shades in blotches, smooth or in square pixels."""
    fields = [canvas.noise(float(canvas.by_scale(5, 3, 2)), 2.1, high=24.0) for _ in range(3)]
    if canvas.recipe.variant == "digital":
        fields = [_pixelated(canvas, field) for field in fields]
    shades = (
        canvas.main * 0.42,
        canvas.main * 0.62 + rgb(0.10, 0.07, 0.03),
        canvas.main * 0.45 + rgb(0.38, 0.36, 0.28),
    )
    colour: Field = canvas.main[:, None, None]
    for field, shade in zip(fields, (shades[1], shades[2], shades[0]), strict=True):
        colour = mix(colour, shade, smoothstep(0.42, 0.47, field))
    return printed(canvas, colour)


def _pixelated(canvas: Canvas, field: Field) -> Field:
    """The field taken at the middle of square blocks."""
    columns, rows = canvas.counts(canvas.by_scale(64, 40, 28))
    x = np.floor((np.floor(canvas.u[0] * columns) + 0.5) * (canvas.width / columns)) - canvas.offset[0]
    y = np.floor((np.floor(canvas.v[:, 0] * rows) + 0.5) * (canvas.height / rows)) - canvas.offset[1]
    taken: Field = field[np.ix_(wrapped(y, canvas.height), wrapped(x, canvas.width))]
    return taken


@material(
    "gingham",
    words=("gingham", "picnic cloth", "checked tablecloth", "vichy"),
    colours=("red", "red", "blue", "green", "yellow", "pink", "black", "purple"),
    wear=SOFT,
)
def gingham(canvas: Canvas) -> Surface:
    """Bands of one colour crossing on white: pale where one passes, full where two do."""
    columns, rows = canvas.counts(canvas.by_scale(12, 8, 5))
    x, y = canvas.u * columns, canvas.v * rows
    band_x = smoothstep(0.02, -0.02, np.abs(x - np.floor(x) - 0.5) - 0.25)
    band_y = smoothstep(0.02, -0.02, np.abs(y - np.floor(y) - 0.5) - 0.25)
    white = rgb(0.93, 0.92, 0.90)
    colour = mix(white, canvas.main, 0.5 * (band_x + band_y))
    return printed(canvas, tint(colour, np.ones((1, 1), np.float32)))
