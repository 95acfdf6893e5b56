"""Wood and what is made of it: boards, grain, parquet, bark, wicker, cork, bamboo."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, Ids, float32, mix, per_cell, rgb, smoothstep, tint, wrapped
from ..canvas import Canvas
from ..grids import checks, courses, random_bond
from ..registry import WOOD, material
from ..surface import Surface
from .stone import vein

WOODEN = ("brown", "brown", "brown", "beige", "beige", "orange", "grey", "white", "black")


def grain(
    canvas: Canvas, rings: float, across: Field, ident: Ids | None = None, count: int = 1, upright: bool = False
) -> tuple[Field, Field]:
    """Growth rings and fibres along x (along y if upright): darkness of the rings 0..1, and fibre noise.

    `across` is the coordinate across the grain in tiles; each board given by `ident` gets its own phase.
    """
    angle = np.pi / 2.0 if upright else 0.0
    bend = canvas.noise(1.5, 2.3, high=24.0, stretch=4.0, angle=angle)
    phase = np.float32(rings) * across + np.float32(1.6) * bend
    if ident is not None:
        phase = phase + canvas.spread(ident, count, 0.0, 9.0)
    saw = phase - np.floor(phase)
    ring = saw * saw * (1.0 - smoothstep(0.86, 1.0, saw))
    fibre = canvas.noise(14.0, 0.75, high=220.0, stretch=14.0, angle=angle)
    return ring, fibre


@material(
    "planks",
    words=("wooden planks", "planks", "wood planks", "boards", "floorboards", "wooden floor", "plank"),
    colours=WOODEN,
    variants=("horizontal", "vertical"),
    absorbs=("wood",),
    wear=WOOD,
)
def planks(canvas: Canvas) -> Surface:
    """Boards side by side with end joints, nails at their ends, each with its own grain."""
    upright = canvas.recipe.variant == "vertical"
    aspect = canvas.aspect[::-1] if upright else canvas.aspect
    rows = max(1, round(canvas.by_scale(8, 6, 4) * aspect[1]))
    columns = max(1, round(canvas.uniform(1.0, 1.6) * aspect[0]))
    along, across = (canvas.v, canvas.u) if upright else (canvas.u, canvas.v)
    blocks = courses(columns, random_bond(canvas.rng, rows), aspect, along, across)
    cell = aspect[1] / rows
    ring, fibre = grain(canvas, rows * canvas.choice((2, 3)), across, blocks.ident, blocks.count, upright)
    body = smoothstep(cell * 0.02, cell * 0.05, blocks.edge())
    bevel = smoothstep(cell * 0.02, cell * 0.10, blocks.edge())
    face = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.13, 0.015) * (1.04 - 0.30 * ring + 0.06 * fibre)
    nail_x = blocks.side_x - cell * 0.16
    nail_y = np.abs(blocks.y - 0.5) * cell - cell * 0.28
    nail = 1.0 - smoothstep(cell * 0.035, cell * 0.05, np.sqrt(nail_x**2 + nail_y**2))
    colour = mix(mix(canvas.main * 0.16, face, body), rgb(0.16, 0.15, 0.15), nail * np.float32(0.85))
    height = bevel * (0.85 + canvas.spread(blocks.ident, blocks.count, -0.1, 0.1)) + 0.05 * fibre - 0.08 * ring - 0.2 * nail
    return Surface(colour, height, relief=0.009, roughness=0.72 + 0.05 * fibre)


@material(
    "wood",
    words=("wood grain", "wood", "wood surface", "polished wood", "timber", "veneer"),
    adjectives=("wooden",),
    colours=WOODEN,
    wear=("worn", "scratched", "dirty", "wet", "cracked"),
)
def wood(canvas: Canvas) -> Surface:
    """One wide cut with flowing rings and a few knots."""
    bend = canvas.noise(1.5, 2.6, high=16.0, stretch=2.4)
    fibre = canvas.noise(16.0, 0.7, high=220.0, stretch=16.0)
    cells = canvas.cells(canvas.by_scale(3, 2, 2), 0.7, stretch=0.8)
    has_knot = canvas.spread(cells.ident, cells.count) < 0.45
    away = np.where(has_knot, (cells.dx * 0.62) ** 2 + cells.dy**2, 9.0)
    knot = smoothstep(0.0052, 0.0030, away)
    halo = np.exp(-away * 90.0)
    pull = np.exp(-away * 24.0) * np.clip(cells.dy * 14.0, -1.0, 1.0)
    rings = canvas.by_scale(16, 11, 7)
    phase = np.float32(max(1, round(rings * canvas.aspect[1]))) * canvas.v + np.float32(rings * 0.17) * bend + 2.6 * pull
    saw = phase - np.floor(phase)
    ring = saw * saw * (1.0 - smoothstep(0.84, 1.0, saw))
    tone = 1.06 - 0.34 * ring + 0.07 * fibre + 0.04 * bend
    colour = mix(tint(canvas.main, tone), canvas.main * 0.33, np.clip(0.45 * halo + 0.75 * knot, 0.0, 0.92))
    return Surface(colour, 0.3 * fibre - 0.4 * ring, relief=0.0022, roughness=0.42 + 0.12 * ring)


@material(
    "parquet",
    words=("parquet", "parquet floor", "wooden parquet", "parquetry"),
    colours=("brown", "brown", "beige", "orange", "black", "grey"),
    absorbs=("wood",),
    wear=("worn", "scratched", "dirty", "wet"),
)
def parquet(canvas: Canvas) -> Surface:
    """Squares of a few strips each, turned by turns."""
    columns, rows = canvas.counts(canvas.by_scale(8, 6, 4), even_rows=True)
    columns += columns % 2
    strips = 4
    blocks, upright = checks(columns, rows, canvas.aspect, canvas.u, canvas.v)
    cell = canvas.aspect[1] / rows
    lane = np.where(upright > 0.5, blocks.x, blocks.y) * strips
    strip = np.minimum(np.floor(lane), strips - 1)
    between = np.minimum(lane - strip, strip + 1 - lane) * np.float32(cell / strips)
    edge = np.minimum(between, blocks.edge())
    ident = blocks.ident * strips + strip.astype(np.int32)
    count = blocks.count * strips
    lying = canvas.noise(10.0, 1.0, high=160.0, stretch=9.0)
    standing = canvas.noise(10.0, 1.0, high=160.0, stretch=9.0, angle=np.pi / 2.0)
    fibre = np.where(upright > 0.5, standing, lying)
    joint = smoothstep(0.0, cell * 0.022, edge)
    turned = 1.0 + 0.06 * (upright - 0.5)
    face = canvas.shaded(canvas.main, ident, count, 0.07, 0.02) * (turned * (1.0 + 0.055 * fibre))
    return Surface(mix(canvas.main * 0.35, face, joint), joint + 0.05 * fibre, relief=0.003, roughness=0.35)


@material(
    "bark",
    words=("tree bark", "bark", "tree trunk"),
    colours=("brown", "brown", "grey", "black", "beige"),
    absorbs=("wood",),
    wear=("mossy", "snowy", "wet"),
)
def bark(canvas: Canvas) -> Surface:
    """Long, split plates between deep upright furrows."""
    per_unit = canvas.by_scale(9, 6, 4)
    ridges = 1.0 - np.abs(canvas.noise(per_unit * 0.55, 1.25, high=per_unit * 14.0, stretch=4.0, angle=np.pi / 2.0)) * 1.1
    plates = smoothstep(-0.2, 0.75, -ridges + 0.75)
    fibre = canvas.noise(8.0, 0.9, high=200.0, stretch=5.0, angle=np.pi / 2.0)
    crossing = vein(canvas.noise(per_unit * 1.1, 1.3, high=per_unit * 10.0, stretch=0.55, angle=np.pi / 2.0), 0.10)
    height = plates * (0.85 + 0.13 * fibre) - 0.30 * crossing * plates + 0.05 * fibre
    light = np.clip(0.08 + 0.86 * plates + 0.10 * fibre - 0.30 * crossing, 0.0, 1.1)
    colour = mix(canvas.main * 0.24, canvas.main * 1.06, light) * (1.0 + 0.05 * canvas.noise(2.0, 1.6, high=16.0))
    return Surface(colour, height, relief=0.17 / per_unit, roughness=0.97)


@material(
    "wicker",
    words=("wicker", "basket weave", "rattan", "woven basket", "basket"),
    colours=("beige", "brown", "orange", "white", "black", "grey"),
    wear=("worn", "dirty", "dusty"),
)
def wicker(canvas: Canvas) -> Surface:
    """Broad split canes, over and under."""
    columns, rows = canvas.counts(canvas.by_scale(12, 8, 6), even_rows=True)
    columns += columns % 2
    blocks, over = checks(columns, rows, canvas.aspect, canvas.u, canvas.v)
    lying = over > 0.5
    across = np.where(lying, blocks.y, blocks.x)
    along = np.where(lying, blocks.x, blocks.y)
    lanes = across * 3.0
    cane = np.sin(np.pi * (lanes - np.floor(lanes)))
    arch = np.sin(np.pi * along)
    round_off = np.sqrt(np.maximum(np.sin(np.pi * np.clip(across, 0.02, 0.98)), 0.0))
    fibre = np.where(
        lying,
        canvas.noise(16.0, 0.8, high=200.0, stretch=8.0),
        canvas.noise(16.0, 0.8, high=200.0, stretch=8.0, angle=np.pi / 2.0),
    )
    height = 0.35 * np.sqrt(np.maximum(cane, 0.0)) + 0.65 * np.sqrt(arch) * round_off
    shade = canvas.shaded(canvas.main, blocks.ident * 3 + np.minimum(lanes, 2.0).astype(np.int32), blocks.count * 3, 0.08, 0.03)
    colour = shade * ((0.35 + 0.65 * smoothstep(0.15, 0.65, height)) * (1.0 + 0.05 * fibre))
    return Surface(colour, height, relief=0.16 * canvas.aspect[1] / rows, roughness=0.65)


@material("cork", words=("cork", "cork board", "corkboard"), colours=("beige", "brown", "beige"), wear=("worn", "dirty"))
def cork(canvas: Canvas) -> Surface:
    """Pressed granules of cork with dark flecks."""
    cells = canvas.cells(canvas.by_scale(30, 21, 14), 1.0, push=canvas.push(0.004, 12.0, 1.4))
    table = canvas.paint.choice([0.62, 0.85, 1.0, 1.0, 1.12], cells.count) * canvas.paint.normal(1.0, 0.05, cells.count)
    body = smoothstep(0.0, 0.12, cells.edge)
    mottle = canvas.noise(20.0, 0.8, high=200.0)
    fleck = smoothstep(1.6, 2.1, canvas.noise(14.0, 0.8, high=96.0))
    tone = per_cell(float32(table), cells.ident) * (0.8 + 0.2 * body) * (1.0 + 0.07 * mottle) * (1.0 - 0.6 * fleck)
    warm = canvas.main * rgb(1.0, 0.93, 0.82)
    return Surface(tint(warm, tone), body * 0.5 + 0.1 * mottle - 0.6 * fleck, relief=0.005, roughness=0.95)


@material(
    "bamboo",
    words=("bamboo", "bamboo fence", "bamboo wall", "bamboo canes"),
    colours=("beige", "green", "yellow", "brown"),
    wear=("worn", "dirty", "mossy", "wet"),
)
def bamboo(canvas: Canvas) -> Surface:
    """Upright canes side by side with rings at their joints."""
    columns = canvas.counts(canvas.by_scale(14, 9, 6))[0]
    knots = max(1, round(1.6 * canvas.aspect[1]))
    blocks = courses(knots, canvas.table(columns), canvas.aspect[::-1], canvas.v, canvas.u)
    cane = wrapped(np.floor(canvas.u * columns), columns)
    across = (blocks.y - 0.5) * 2.0
    tube = np.sqrt(np.maximum(1.0 - across**2, 0.0))
    ring = np.exp(-((blocks.side_x / 0.011) ** 2))
    groove = np.exp(-(((blocks.side_x - 0.018) / 0.006) ** 2))
    fibre = canvas.noise(10.0, 0.9, high=200.0, stretch=12.0, angle=np.pi / 2.0)
    fade = 1.0 - 0.16 * np.exp(-blocks.side_x / 0.05)
    face = canvas.shaded(canvas.main, cane + np.zeros_like(blocks.ident), columns, 0.09, 0.03)
    colour = face * ((0.30 + 0.70 * smoothstep(0.0, 0.55, tube)) * fade * (1.0 + 0.05 * fibre) * (1.0 - 0.35 * groove) + 0.10 * ring)
    return Surface(colour, tube + 0.14 * ring - 0.06 * groove, relief=0.34 * canvas.aspect[0] / columns, roughness=0.4)
