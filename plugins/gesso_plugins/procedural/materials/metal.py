"""Metals: brushed, plated, embossed, corrugated, hammered, rusted, linked and etched."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, Ids, float32, hypot, luminance, mix, rgb, smoothstep, tint, wrapped
from ..canvas import Canvas
from ..grids import courses
from ..registry import METAL, material
from ..routes import STEPS, route
from ..surface import Surface

ALLOYS = ("silver", "silver", "grey", "gold", "copper", "black")


@material(
    "brushed_metal",
    words=("brushed metal", "metal", "brushed steel", "metal sheet", "sheet metal"),
    colours=ALLOYS,
    wear=METAL,
)
def brushed_metal(canvas: Canvas) -> Surface:
    """A sheet brushed along x, with the soft bands of its reflections."""
    hair = canvas.noise(6.0, 0.45, high=220.0, stretch=24.0)
    sheen = canvas.noise(1.0, 1.8, high=8.0, stretch=3.0)
    colour = tint(canvas.main, 1.0 + 0.11 * hair + 0.09 * sheen)
    return Surface(colour, hair, relief=0.0004, roughness=0.34 + 0.05 * hair, metallic=1.0)


@material(
    "metal_plates",
    words=("riveted metal plates", "metal plates", "riveted plates", "steel plates", "metal panels", "riveted metal"),
    adjectives=("riveted",),
    colours=ALLOYS,
    absorbs=("brushed_metal",),
    wear=METAL,
)
def metal_plates(canvas: Canvas) -> Surface:
    """Bolted plates with grooves between and rivets along their sides."""
    columns, rows = canvas.counts(canvas.by_scale(4, 3, 2))
    blocks = courses(columns, float32(np.zeros(rows)), canvas.aspect, canvas.u, canvas.v)
    cell = canvas.aspect[1] / rows
    edge = blocks.edge(cell * 0.06)
    body = smoothstep(cell * 0.008, cell * 0.03, edge)
    inset = cell * 0.09
    pitch = 4.0
    across_x = (blocks.x * pitch) % 1.0 - 0.5
    across_y = (blocks.y * pitch) % 1.0 - 0.5
    along_x = hypot(across_x * np.float32(cell / pitch), blocks.side_y - inset)
    along_y = hypot(across_y * np.float32(cell / pitch), blocks.side_x - inset)
    away = np.minimum(along_x, along_y) / np.float32(cell * 0.042)
    rivet = np.sqrt(np.maximum(1.0 - away**2, 0.0))
    ring = smoothstep(1.35, 1.0, away) * smoothstep(0.9, 1.0, away)
    hair = canvas.noise(4.0, 0.7, high=200.0, stretch=10.0)
    patch = canvas.noise(2.0, 1.6, high=24.0)
    face = canvas.shaded(canvas.main, blocks.ident, blocks.count, 0.06, 0.012) * (1.0 + 0.04 * hair + 0.05 * patch)
    colour = mix(canvas.main * 0.22, face, body) * (1.0 - 0.3 * ring)
    return Surface(colour, body * 0.5 + 0.7 * rivet - 0.1 * ring, relief=0.016, roughness=0.40 + 0.05 * patch, metallic=1.0)


@material(
    "diamond_plate",
    words=("diamond plate", "tread plate", "checker plate", "diamond plate metal"),
    colours=ALLOYS,
    absorbs=("brushed_metal",),
    wear=METAL,
)
def diamond_plate(canvas: Canvas) -> Surface:
    """Raised lens-shaped treads, alternately slanted."""
    columns, rows = canvas.counts(canvas.by_scale(12, 8, 6), even_rows=True)
    columns += columns % 2
    x, y = canvas.u * columns, canvas.v * rows
    across, down = x - np.floor(x) - 0.5, y - np.floor(y) - 0.5
    sign = 1.0 - 2.0 * ((np.floor(x) + np.floor(y)) % 2.0)
    along, aside = (across + sign * down) * np.float32(0.7071), (across - sign * down) * np.float32(0.7071)
    lens = 1.0 - (along / 0.56) ** 2 - np.abs(aside) / 0.17
    tread = smoothstep(0.0, 0.55, lens)
    rubbed = smoothstep(0.3, 0.9, lens)
    patch, hair = canvas.noise(2.0, 1.5, high=48.0), canvas.noise(8.0, 0.6, high=200.0, stretch=5.0)
    colour = tint(canvas.main, 0.80 + 0.22 * rubbed + 0.05 * patch + 0.03 * hair)
    return Surface(colour, tread, relief=0.11 * canvas.aspect[1] / rows, roughness=0.42 - 0.15 * rubbed, metallic=1.0)


@material(
    "corrugated_metal",
    words=("corrugated metal", "corrugated iron", "corrugated steel", "metal roofing"),
    adjectives=("corrugated",),
    colours=("silver", "silver", "grey", "red", "green", "blue", "copper"),
    variants=("vertical", "horizontal"),
    absorbs=("brushed_metal",),
    wear=METAL,
)
def corrugated_metal(canvas: Canvas) -> Surface:
    """A wave of sheet metal, its sheets overlapping, with stains running down."""
    lying = canvas.recipe.variant == "horizontal"
    columns, rows = canvas.counts(canvas.by_scale(14, 10, 6))
    wave_at = canvas.v * rows if lying else canvas.u * columns
    wave = 0.5 + 0.5 * np.cos(np.float32(2.0 * np.pi) * wave_at)
    streak = canvas.noise(4.0, 1.1, high=128.0, stretch=7.0, angle=0.0 if lying else np.pi / 2.0)
    patch = canvas.noise(2.0, 1.6, high=32.0)
    colour = tint(canvas.main, (0.70 + 0.32 * wave) * (1.0 + 0.05 * streak + 0.04 * patch))
    cell = canvas.aspect[1] / rows
    return Surface(
        colour,
        wave + np.zeros_like(patch) + 0.01 * patch,
        relief=0.30 * cell,
        roughness=0.45 + 0.04 * streak,
        metallic=0.85,
    )


@material(
    "hammered_metal",
    words=("hammered metal", "beaten metal", "hammered sheet"),
    adjectives=("hammered",),
    colours=("copper", "copper", "silver", "gold", "grey", "black"),
    absorbs=("brushed_metal",),
    wear=METAL,
)
def hammered_metal(canvas: Canvas) -> Surface:
    """Overlapping round dents with bright ridges between them."""
    cells = canvas.cells(canvas.by_scale(17, 12, 8), 0.75)
    dent = np.minimum(cells.nearest * 1.2, 1.0) ** 2
    ridge = smoothstep(0.10, 0.0, cells.edge)
    patch = canvas.noise(2.0, 1.6, high=32.0)
    colour = tint(canvas.main, 0.90 + 0.08 * dent + 0.05 * ridge + 0.05 * patch)
    return Surface(colour, dent, relief=0.16 / canvas.by_scale(17, 12, 8), roughness=0.28 + 0.05 * patch, metallic=1.0)


@material(
    "rust",
    words=("rusty metal", "rust", "rusted iron", "corroded metal", "rusted steel"),
    colours=("orange", "brown", "orange"),
    absorbs=("brushed_metal",),
    wear=("wet", "scratched", "dirty"),
)
def rust(canvas: Canvas) -> Surface:
    """Iron eaten through: flaking crust, orange bloom, dark pits, a little bare metal."""
    crust, bloom = canvas.noise(3.0, 1.35, high=160.0), canvas.noise(5.0, 1.1, high=160.0)
    fine = canvas.noise(20.0, 0.6, high=220.0)
    flake = smoothstep(-0.1, 0.15, crust)
    deep, pale = canvas.main * rgb(0.40, 0.30, 0.30), np.clip(canvas.main * rgb(1.02, 0.92, 0.80), 0.0, 1.0)
    colour = mix(deep, pale, np.clip(0.48 + 0.24 * bloom + 0.16 * flake, 0.0, 1.0)) * (1.0 + 0.10 * fine)
    bare = smoothstep(1.35, 1.7, canvas.noise(2.0, 1.5, high=96.0)) * np.float32(0.8)
    colour = mix(colour, rgb(0.40, 0.39, 0.38), bare)
    height = flake * (0.6 + 0.12 * bloom) + 0.12 * fine - 0.4 * bare
    return Surface(colour, height, relief=0.006, roughness=0.95 - 0.4 * bare, metallic=0.1 + 0.8 * bare)


@material(
    "chainmail",
    words=("chainmail", "chain mail", "metal rings", "mail armour"),
    colours=ALLOYS,
    absorbs=("brushed_metal",),
    wear=METAL,
)
def chainmail(canvas: Canvas) -> Surface:
    """Rings through rings: rows leaning by turns to the left and to the right."""
    per_unit = canvas.by_scale(12, 8, 5)
    columns, rows = canvas.counts(per_unit)[0], canvas.counts(per_unit / 0.72, even_rows=True)[1]
    high = np.float32(canvas.aspect[1] / rows * columns / canvas.aspect[0])
    x, y = canvas.u * columns, canvas.v * rows
    row = np.floor(y)
    below = (y - row - 0.5) * high
    height: Field = np.full((1, 1), -0.6, np.float32)
    for up in (-1, 0, 1):
        odd = (row + up) % 2.0
        at = x + 0.5 * odd
        beside = at - np.floor(at) - 0.5
        sign = 1.0 - 2.0 * odd
        for right in (-1, 0, 1):
            dx, dy = beside - np.float32(right), below - np.float32(up) * high
            tube = 1.0 - ((hypot(dx, dy) - 0.60) / 0.165) ** 2
            ring = np.sqrt(np.maximum(tube, 0.0)) * 0.30 + (0.36 * sign) * dx
            height = np.maximum(height, np.where(tube > 0.0, ring, -0.6))
    seen = smoothstep(-0.55, -0.1, height)
    colour = mix(canvas.main * 0.08, canvas.main, seen * (0.80 + 0.25 * np.clip(height, -0.4, 0.6)))
    return Surface(colour, height, relief=0.75 / per_unit, roughness=0.30, metallic=np.minimum(seen * 1.2, 1.0))


@material(
    "metal_grate",
    words=("metal grate", "metal grid", "perforated metal", "metal mesh", "steel grating"),
    adjectives=("perforated",),
    colours=ALLOYS,
    absorbs=("brushed_metal",),
    wear=METAL,
)
def metal_grate(canvas: Canvas) -> Surface:
    """Sheet metal with round holes punched in staggered rows."""
    cells = canvas.cells(canvas.by_scale(14, 10, 6) * 1.075, 0.0, staggered=True, stretch=1.155)
    hole = smoothstep(0.34, 0.31, cells.nearest)
    lip = smoothstep(0.46, 0.34, cells.nearest)
    patch, hair = canvas.noise(2.0, 1.6, high=48.0), canvas.noise(6.0, 0.6, high=200.0, stretch=8.0)
    face = tint(canvas.main, 0.92 + 0.08 * lip + 0.05 * patch + 0.04 * hair)
    colour = mix(face, rgb(0.045, 0.045, 0.05), hole)
    return Surface(
        colour,
        1.0 - 0.12 * lip - hole,
        relief=0.14 / canvas.by_scale(14, 10, 6),
        roughness=0.38 + 0.5 * hole,
        metallic=1.0 - hole,
    )


@material(
    "circuit_board",
    words=("circuit board", "circuit", "pcb", "electronics", "motherboard"),
    colours=("green", "green", "blue", "black", "red", "white"),
    wear=("dusty", "dirty", "scratched"),
)
def circuit_board(canvas: Canvas) -> Surface:
    """Routed copper traces, pads and chips on a lacquered board."""
    columns, rows = canvas.counts(canvas.by_scale(28, 20, 14))
    routes = route(canvas.rng, columns, rows)
    x, y = np.broadcast_arrays(canvas.u * columns, canvas.v * rows)
    square = wrapped(np.floor(y), rows), wrapped(np.floor(x), columns)
    dx, dy = x - np.floor(x) - 0.5, y - np.floor(y) - 0.5
    trace = smoothstep(0.17, 0.12, _to_links(routes.links[square], dx, dy))
    radius = hypot(dx, dy)
    pad = smoothstep(0.36, 0.31, radius) * routes.pads[square]
    drill = smoothstep(0.17, 0.13, radius) * routes.pads[square]
    chip = float32(routes.chips[square])
    board = tint(canvas.main, 0.72 + 0.02 * canvas.noise(24.0, 0.5, high=160.0))
    metal = rgb(0.86, 0.72, 0.36) if luminance(canvas.main) < 0.7 else rgb(0.70, 0.48, 0.20)
    colour = mix(board, canvas.main * 0.55 + metal * 0.48, trace)
    colour = mix(mix(colour, metal, pad), rgb(0.05, 0.05, 0.05), drill)
    colour = mix(colour, rgb(0.09, 0.09, 0.10), chip)
    height = 0.15 * trace + 0.25 * pad - 0.3 * drill + 1.0 * chip
    metallic = np.clip(pad + 0.4 * trace, 0.0, 1.0) * (1.0 - chip) * (1.0 - drill)
    return Surface(colour, height, relief=0.006, roughness=0.35, metallic=metallic)


def _to_links(links: Ids, dx: Field, dy: Field) -> Field:
    """Distance, in squares, to the nearest link that leaves the middle of the square; 9 where none does."""
    nearest: Field = np.full(dx.shape, 9.0, np.float32)
    for heading, (right, down) in enumerate(STEPS):
        along = np.clip(dx * right + dy * down, 0.0, 0.5)
        away = hypot(dx - along * right, dy - along * down)
        nearest = np.where(links & (1 << heading), np.minimum(nearest, away), nearest)
    return nearest
