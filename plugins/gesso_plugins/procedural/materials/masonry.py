"""Things laid by a mason: bricks, cobbles, flags, walls and pavers."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, float32, mix, per_cell, rgb, smoothstep, tint
from ..canvas import Canvas
from ..cells import Cells
from ..grids import Blocks, courses, half_bond, herringbone, random_bond
from ..registry import HARD, STONES, material
from ..surface import Surface


def rounded(border: Field, cells: Cells) -> Field:
    """A distance to the border of cells (edge or gap) with their corners cut back."""
    cut: Field = np.maximum(cells.nearest - 0.42, 0.0) * np.float32(-0.35)
    return cut + border


def _tilts(canvas: Canvas, blocks: Blocks, amount: float) -> Field:
    """Each block sits a little higher or lower and leans a little, as hands lay them."""
    rise, lean_x, lean_y = (canvas.spread(blocks.ident, blocks.count, -amount, amount) for _ in range(3))
    return rise + lean_x * (blocks.x - 0.5) + lean_y * (blocks.y - 0.5)


@material(
    "brick",
    words=("brick wall", "bricks", "brick", "brickwork", "masonry"),
    colours=("red", "red", "red", "orange", "brown", "white", "grey", "beige", "black"),
    wear=HARD,
)
def brick(canvas: Canvas) -> Surface:
    """Rough bricks in a half bond with sanded mortar."""
    columns, rows = canvas.counts(canvas.by_scale(12, 8, 6), stretch=2.6, even_rows=True)
    u, v = canvas.warped(0.0025, 8.0, 1.5)
    blocks = courses(columns, half_bond(rows), canvas.aspect, u, v)
    gap = 0.05 / rows * canvas.aspect[1]
    grain = canvas.noise(10.0, 0.9, high=160.0)
    body = smoothstep(gap, gap * 2.4, blocks.edge(gap * 2.0) + grain * np.float32(gap * 0.14))
    blotch = canvas.noise(4.0, 1.2, high=64.0)
    face = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.14, 0.045) * (1.0 + 0.07 * grain + 0.06 * blotch)
    dark_mortar = canvas.uniform(0.0, 1.0) < 0.25
    mortar = rgb(0.24, 0.23, 0.22) if dark_mortar else rgb(0.70, 0.67, 0.62)
    bed = tint(mortar, 1.0 + 0.06 * canvas.noise(24.0, 0.3, high=160.0))
    height = body * (0.85 + 0.09 * grain + _tilts(canvas, blocks, 0.12))
    return Surface(mix(bed, face, body), height, relief=0.016, roughness=0.88 - 0.06 * body)


@material(
    "cobblestone",
    words=("cobblestone", "cobblestones", "cobbles", "cobbled street", "cobble", "cobble stones"),
    colours=STONES,
    wear=HARD,
)
def cobblestone(canvas: Canvas) -> Surface:
    """Rounded setts with deep, sandy joints."""
    cells = canvas.cells(canvas.by_scale(11, 8, 5), 0.62, staggered=True)
    edge = rounded(cells.edge, cells)
    grain = canvas.noise(10.0, 1.0, high=160.0)
    body = smoothstep(0.03, 0.13, edge)
    dome = np.sqrt(smoothstep(-0.02, 0.48, rounded(cells.gap, cells))) * (0.9 + 0.12 * canvas.spread(cells.ident, cells.count, -1.0, 1.0))
    face = canvas.shaded(canvas.main, cells.ident, cells.count, 0.15, 0.03) * (0.93 + 0.10 * grain + 0.14 * dome)
    bed = tint(rgb(0.27, 0.24, 0.20), 1.0 + 0.16 * canvas.noise(24.0, 0.4, high=160.0))
    height = dome + 0.05 * grain
    return Surface(mix(bed, face, body), height, relief=0.20 / canvas.by_scale(11, 8, 5), roughness=0.92 - 0.3 * body * dome)


@material(
    "flagstone",
    words=("flagstone", "flagstones", "flagstone paving", "crazy paving", "paving stones"),
    colours=STONES,
    wear=HARD,
)
def flagstone(canvas: Canvas) -> Surface:
    """Flat slabs of broken stone with thin joints."""
    cells = canvas.cells(canvas.by_scale(6, 4, 3), 0.95, push=canvas.push(0.006, 6.0, 1.4))
    grain = canvas.noise(6.0, 1.25, high=200.0)
    body = smoothstep(0.018, 0.06, cells.edge * np.float32(4.0 / canvas.by_scale(6, 4, 3)) + 0.003 * grain)
    step = canvas.spread(cells.ident, cells.count, -0.2, 0.2)
    face = canvas.shaded(canvas.main, cells.ident, cells.count, 0.11, 0.05) * (1.0 + 0.08 * grain)
    bed = tint(rgb(0.30, 0.28, 0.24), 1.0 + 0.1 * canvas.noise(24.0, 0.4, high=160.0))
    layers = canvas.noise(3.0, 1.6, high=96.0)
    ledge = smoothstep(0.2, 0.5, layers) * np.float32(0.16) + smoothstep(-0.8, -0.6, layers) * np.float32(0.12)
    height = body * (0.75 + step + ledge + 0.05 * grain)
    return Surface(mix(bed, face, body), height, relief=0.014, roughness=0.9 - 0.2 * body)


@material(
    "stone_wall",
    words=("stone wall", "stone blocks", "ashlar wall", "castle wall", "rubble wall"),
    colours=STONES,
    wear=HARD,
)
def stone_wall(canvas: Canvas) -> Surface:
    """Hewn blocks of uneven length in courses, with rough, bulging faces."""
    columns, rows = canvas.counts(canvas.by_scale(8, 5, 4), stretch=1.6)
    u, v = canvas.warped(0.006, 5.0, 1.4)
    uneven = canvas.table(rows * columns, -0.33, 0.33).reshape(rows, columns)
    blocks = courses(columns, random_bond(canvas.rng, rows), canvas.aspect, u, v, uneven)
    gap = 0.055 * canvas.aspect[1] / rows
    chips = canvas.noise(6.0, 1.3, high=200.0)
    edge = blocks.edge(gap * 3.0) + chips * np.float32(gap * 0.2)
    body = smoothstep(gap * 0.6, gap * 1.6, edge)
    bulge = smoothstep(gap * 0.5, gap * 5.0, edge)
    face = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.13, 0.03) * (1.0 + 0.11 * chips)
    bed = tint(rgb(0.42, 0.40, 0.36), 1.0 + 0.1 * canvas.noise(24.0, 0.4, high=160.0))
    height = 0.25 * body + bulge * (0.6 + 0.13 * chips + _tilts(canvas, blocks, 0.12))
    return Surface(mix(bed, face, body), height, relief=0.030, roughness=0.93)


@material(
    "pavers",
    words=("herringbone pavers", "pavers", "herringbone bricks", "paving bricks", "brick pavement"),
    colours=("red", "grey", "brown", "beige", "orange", "black"),
    wear=HARD,
)
def pavers(canvas: Canvas) -> Surface:
    """Chamfered paving bricks in a herringbone."""
    quads = canvas.counts(canvas.by_scale(4, 3, 2))
    blocks, _ = herringbone(quads[0] * 4, quads[1] * 4, canvas.aspect, canvas.u, canvas.v)
    cell = canvas.aspect[1] / (quads[1] * 4)
    edge = blocks.edge(cell * 0.08)
    body, chamfer = smoothstep(cell * 0.02, cell * 0.07, edge), smoothstep(cell * 0.03, cell * 0.17, edge)
    grain = canvas.noise(16.0, 0.7, high=200.0)
    face = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.12, 0.04) * (1.0 + 0.07 * grain)
    bed = tint(rgb(0.30, 0.27, 0.22), 1.0 + 0.1 * grain)
    height = chamfer * (0.85 + _tilts(canvas, blocks, 0.1)) + 0.03 * grain
    return Surface(mix(bed, face, body), height, relief=0.012, roughness=0.9)


@material(
    "pebbles",
    words=("pebbles", "river stones", "pebble beach", "pebble"),
    colours=STONES,
    wear=("mossy", "dirty", "snowy", "wet"),
)
def pebbles(canvas: Canvas) -> Surface:
    """Smooth, rounded stones of mixed colours lying close."""
    per_unit = canvas.by_scale(13, 9, 6)
    lower = canvas.cells(per_unit * 1.3, 0.9)
    upper = canvas.cells(per_unit, 0.85, stretch=1.2)
    size = canvas.spread(upper.ident, upper.count, 0.52, 0.74)
    round_off = 1.0 - (upper.nearest / size) ** 2
    body = smoothstep(0.0, 0.30, upper.edge) * np.maximum(round_off, 0.0)
    top = (body > 0.10) & (canvas.spread(upper.ident, upper.count) < 0.9)
    low_dome = np.sqrt(smoothstep(0.0, 0.40, lower.gap)) * np.float32(0.40)
    height = np.where(top, 0.30 + 0.70 * np.sqrt(np.maximum(body - 0.10, 0.0)), low_dome)
    count = upper.count + lower.count
    ident = np.where(top, upper.ident, upper.count + lower.ident)
    table = _pebble_shades(canvas, count)
    speckle = 1.0 + 0.05 * canvas.noise(20.0, 0.6, high=200.0)
    colour = per_cell(table, ident) * (speckle * (0.45 + 0.55 * smoothstep(0.05, 0.6, height)))
    return Surface(colour, height, relief=0.30 / per_unit, roughness=0.55)


def _pebble_shades(canvas: Canvas, count: int) -> Field:
    """Mostly the main colour, some greyer, some paler, some dark: (3, count)."""
    pull = canvas.paint.random(count)[None]
    grey = np.float32(0.55)
    base = canvas.main[:, None] * (1.0 - 0.45 * pull) + grey * 0.45 * pull
    brightness = canvas.paint.choice([0.6, 0.85, 1.0, 1.1, 1.35], count) * canvas.paint.normal(1.0, 0.08, count)
    return float32(np.clip(base * brightness, 0.02, 1.0))


@material("gravel", words=("gravel", "crushed stone", "ballast"), colours=STONES, wear=("mossy", "dirty", "snowy", "wet"))
def gravel(canvas: Canvas) -> Surface:
    """Small, sharp, tilted chips."""
    per_unit = canvas.by_scale(26, 19, 13)
    cells = canvas.cells(per_unit, 1.0)
    lean_x, lean_y = (canvas.spread(cells.ident, cells.count, -1.0, 1.0) for _ in range(2))
    facet = 0.6 + 0.75 * (lean_x * cells.dx + lean_y * cells.dy) + canvas.spread(cells.ident, cells.count, -0.25, 0.25)
    body = smoothstep(0.0, 0.10, cells.edge)
    shade = canvas.shaded(canvas.main, cells.ident, cells.count, 0.24, 0.04)
    return Surface(shade * (0.38 + 0.62 * body), body * facet, relief=0.6 / per_unit, roughness=0.95)
