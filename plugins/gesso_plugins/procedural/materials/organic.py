"""Skins, pelts and combs: scales, snake, zebra, leopard, giraffe, cow, tiger, honeycomb, feathers."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, Rgb, luminance, mix, rgb, smoothstep, tint
from ..canvas import Canvas
from ..registry import material
from ..surface import Surface
from .tilework import overlapping

HAIRY = ("dirty", "wet")


def coat(canvas: Canvas, low: float = 14.0) -> Field:
    """Short combed hair: noise stretched along y."""
    return canvas.noise(low, 0.55, high=200.0, stretch=4.0, angle=np.pi / 2.0)


@material(
    "scales",
    words=("fish scales", "scales", "dragon scales", "mermaid scales", "reptile scales"),
    wear=("wet", "worn", "dirty"),
)
def scales(canvas: Canvas) -> Surface:
    """Rounded, gleaming scales in overlapping rows."""
    per_unit = canvas.by_scale(12, 8, 5)
    columns, rows = canvas.counts(per_unit * 2.0, stretch=2.0, even_rows=True)
    height, ident, rim = overlapping(canvas, columns, rows, 2.0, flat=0.0)
    face = canvas.shaded(canvas.main, ident, columns * rows, 0.13, 0.05)
    sheen = canvas.noise(2.0, 1.7, high=12.0)
    colour = face * ((0.34 + 0.66 * rim) * (1.0 + 0.06 * sheen))
    colour = mix(
        colour,
        np.clip(canvas.main * 0.6 + 0.42, 0.0, 1.0),
        smoothstep(0.75, 1.0, rim) * smoothstep(0.95, 0.55, height) * np.float32(0.35),
    )
    return Surface(colour, height, relief=0.17 / per_unit, roughness=0.30)


@material(
    "snake_skin",
    words=("snake skin", "snakeskin", "python skin", "reptile skin"),
    colours=("green", "brown", "yellow", "grey", "black", "beige", "red"),
    wear=("worn", "dirty", "wet"),
)
def snake_skin(canvas: Canvas) -> Surface:
    """Keeled diamond scales with a dark saddle pattern running over them."""
    columns, rows = canvas.counts(canvas.by_scale(32, 24, 16), even_rows=True)
    columns += columns % 2
    x, y = canvas.u * columns, canvas.v * rows
    first, second = (x + y) * 0.5, (x - y) * 0.5
    a, b = first - np.floor(first), second - np.floor(second)
    edge = np.minimum(np.minimum(a, 1.0 - a), np.minimum(b, 1.0 - b))
    body = smoothstep(0.02, 0.16, edge)
    keel = smoothstep(0.10, 0.0, np.abs(a - b) - 0.02) * body
    middle_u, middle_v = (
        (np.floor(first) + np.floor(second) + 1.0) / columns,
        (np.floor(first) - np.floor(second)) / rows,
    )
    saddles = canvas.counts(canvas.by_scale(4, 3, 2))
    wave = np.cos(np.float32(2.0 * np.pi * saddles[0]) * middle_u) + np.cos(np.float32(2.0 * np.pi * saddles[1]) * middle_v)
    mark = smoothstep(0.25, 0.75, wave) + 0.8 * smoothstep(-1.1, -1.5, wave)
    rim = smoothstep(0.30, 0.0, np.abs(wave - 0.35))
    pale = canvas.main * 0.55 + rgb(0.36, 0.34, 0.26)
    colour = mix(mix(canvas.main, canvas.main * 0.28, np.clip(mark, 0.0, 1.0)), pale, rim * np.float32(0.8))
    colour = colour * ((0.30 + 0.70 * body) * (1.0 + 0.12 * keel))
    return Surface(colour, body * 0.8 + 0.25 * keel, relief=0.16 * canvas.aspect[1] / rows, roughness=0.42)


@material(
    "zebra",
    words=("zebra fur", "zebra stripes", "zebra skin", "zebra print"),
    colours=("white", "white", "beige"),
    absorbs=("fur", "leather", "fabric"),
    wear=HAIRY,
)
def zebra(canvas: Canvas) -> Surface:
    """Forking black stripes on a pale coat."""
    bands = canvas.counts(canvas.by_scale(9, 6, 4))[1]
    bend = canvas.noise(1.5, 2.1, high=16.0)
    wave = np.sin(np.float32(2.0 * np.pi) * (canvas.v * bands) + 2.1 * bend) + 0.35 * canvas.noise(3.0, 1.8, high=24.0)
    hair = coat(canvas)
    ground = canvas.main if luminance(canvas.main) > 0.3 else canvas.main * 0.4 + 0.55
    colour = mix(ground, rgb(0.075, 0.065, 0.06), smoothstep(-0.15, 0.15, wave + 0.06 * hair)) * (1.0 + 0.05 * hair)
    return Surface(colour, hair, relief=0.0012, roughness=0.85)


@material(
    "tiger",
    words=("tiger fur", "tiger stripes", "tiger skin", "tiger print"),
    colours=("orange", "orange", "white"),
    absorbs=("fur", "leather", "fabric"),
    wear=HAIRY,
)
def tiger(canvas: Canvas) -> Surface:
    """Tapering black stripes, pale in places, on a warm coat."""
    bands = canvas.counts(canvas.by_scale(11, 8, 5))[1]
    bend = canvas.noise(2.0, 1.9, high=24.0)
    wave = np.sin(np.float32(2.0 * np.pi) * (canvas.v * bands) + 1.7 * bend)
    swell = canvas.noise(2.0, 1.7, high=16.0, stretch=0.7)
    stripe = smoothstep(0.35, 0.60, wave + 0.55 * swell - 0.28)
    hair = coat(canvas)
    belly = smoothstep(0.2, 2.0, canvas.noise(1.5, 1.9, high=6.0))
    ground = mix(canvas.main * rgb(1.0, 0.94, 0.82), canvas.main * 0.35 + 0.58, belly * np.float32(0.8))
    colour = mix(ground, rgb(0.07, 0.055, 0.05), stripe) * (1.0 + 0.08 * hair)
    return Surface(colour, hair, relief=0.0014, roughness=0.85)


@material(
    "leopard",
    words=("leopard fur", "leopard print", "leopard skin", "leopard spots", "jaguar fur"),
    colours=("yellow", "orange", "beige", "white", "black"),
    absorbs=("fur", "leather", "fabric"),
    wear=HAIRY,
)
def leopard(canvas: Canvas) -> Surface:
    """Broken rosettes with a darker heart."""
    push = canvas.push(0.008, 6.0, 1.4)
    cells = canvas.cells(canvas.by_scale(11, 7, 5), 0.72, push=push)
    size = canvas.spread(cells.ident, cells.count, 0.85, 1.2)
    turn = np.arctan2(cells.dy, cells.dx) + canvas.spread(cells.ident, cells.count, 0.0, 6.28)
    gaps = smoothstep(-0.62, -0.30, np.cos(3.0 * turn))
    away = cells.nearest * size
    ring = smoothstep(0.20, 0.25, away) * smoothstep(0.40, 0.35, away) * gaps
    hair = coat(canvas)
    if luminance(canvas.main) > 0.2:
        ground = tint(canvas.main * 0.80 + rgb(0.15, 0.11, 0.05), 1.0 + 0.07 * hair)
        heart: Rgb = canvas.main * rgb(0.72, 0.58, 0.42)
        spots: Rgb = rgb(0.10, 0.07, 0.05)
    else:
        ground = tint(canvas.main * 0.9 + 0.08, 1.0 + 0.10 * hair)
        heart, spots = canvas.main * 0.8, canvas.main * 0.22
    colour = mix(mix(ground, heart, smoothstep(0.30, 0.20, away)), spots, ring)
    return Surface(colour, hair, relief=0.0014, roughness=0.85)


@material(
    "giraffe",
    words=("giraffe skin", "giraffe fur", "giraffe pattern", "giraffe print"),
    colours=("brown", "orange", "brown"),
    absorbs=("fur", "leather", "fabric"),
    wear=HAIRY,
)
def giraffe(canvas: Canvas) -> Surface:
    """Brown polygons divided by cream lines."""
    cells = canvas.cells(canvas.by_scale(8, 5, 4), 0.85, push=canvas.push(0.012, 5.0, 1.4))
    patch = smoothstep(0.055, 0.09, cells.edge - 0.12 * np.maximum(cells.nearest - 0.5, 0.0))
    hair = coat(canvas)
    face = canvas.shaded(canvas.main, cells.ident, cells.count, 0.08, 0.03) * (0.80 + 0.30 * np.exp(-4.0 * cells.gap))
    cream = canvas.main * 0.18 + rgb(0.76, 0.69, 0.52)
    return Surface(mix(cream, face, patch) * (1.0 + 0.06 * hair), hair, relief=0.0013, roughness=0.85)


@material(
    "cow",
    words=("cow hide", "cow fur", "cow pattern", "cow print", "cow skin"),
    colours=("black", "black", "brown"),
    absorbs=("fur", "leather", "fabric"),
    wear=HAIRY,
)
def cow(canvas: Canvas) -> Surface:
    """Large smooth-edged blotches on white."""
    blotch = canvas.noise(float(canvas.by_scale(3, 2, 1)), 2.3, high=24.0)
    hair = coat(canvas)
    spot = smoothstep(0.22, 0.34, blotch + 0.03 * hair)
    colour = mix(rgb(0.93, 0.92, 0.89), canvas.main * 0.8, spot) * (1.0 + 0.05 * hair)
    return Surface(colour, hair + 0.3 * spot, relief=0.0013, roughness=0.85)


@material(
    "honeycomb",
    words=("honeycomb", "beehive", "wax comb", "honey"),
    colours=("yellow", "orange", "gold", "yellow"),
    wear=("wet", "dirty"),
)
def honeycomb(canvas: Canvas) -> Surface:
    """Six-sided wax cells, some brimming with honey, some empty."""
    cells = canvas.cells(canvas.by_scale(10, 7, 4) * 1.075, 0.0, staggered=True, stretch=1.155, push=canvas.push(0.004, 4.0, 1.5))
    wall = smoothstep(0.135, 0.075, cells.edge)
    fill = canvas.spread(cells.ident, cells.count)
    full = smoothstep(0.35, 0.45, fill)
    gleam = np.exp(-((cells.dx + 0.14) ** 2 + (cells.dy + 0.16) ** 2) * 60.0) * full
    deep = np.exp(-cells.edge / 0.12)
    inside = mix(canvas.main * rgb(0.30, 0.22, 0.12), canvas.main * rgb(0.92, 0.66, 0.30), full * (0.55 + 0.45 * deep))
    wax = canvas.main * 0.80 + rgb(0.18, 0.15, 0.07)
    colour = mix(mix(inside, rgb(1.0, 0.96, 0.82), gleam * np.float32(0.8)), wax, wall)
    well = smoothstep(0.13, 0.30, cells.edge)
    return Surface(
        colour,
        wall * 1.0 + (1.0 - wall) * (0.25 + 0.4 * full - 0.3 * well * (1.0 - full)),
        relief=0.012,
        roughness=0.12 + 0.5 * wall,
    )


@material(
    "feathers",
    words=("feathers", "plumage", "bird feathers"),
    colours=("white", "blue", "teal", "grey", "brown", "green", "red", "black"),
    wear=("wet", "dirty"),
)
def feathers(canvas: Canvas) -> Surface:
    """Overlapping plumes with shafts and combed barbs."""
    per_unit = canvas.by_scale(9, 6, 4)
    columns, rows = canvas.counts(per_unit * 1.6, stretch=1.6, even_rows=True)
    height, ident, rim = overlapping(canvas, columns, rows, 2.0, flat=0.0)
    row = ident // columns
    across_at = canvas.u * columns + 0.5 * (row % 2)
    across = across_at - np.floor(across_at) - 0.5
    down_at = canvas.v * rows - row
    down = down_at - rows * np.floor(down_at / rows)
    shaft = smoothstep(0.035, 0.012, np.abs(across))
    barbs = np.sin(np.float32(2.0 * np.pi) * (down * 5.0 - np.abs(across) * 9.0))
    face = canvas.shaded(canvas.main, ident, columns * rows, 0.10, 0.05)
    tip = smoothstep(0.45, 0.0, rim)
    colour = face * ((0.62 + 0.38 * smoothstep(0.0, 0.5, rim)) * (1.0 + 0.08 * barbs))
    colour = mix(colour, canvas.main * 0.35, smoothstep(0.5, 0.15, rim) * np.float32(0.45))
    colour = mix(colour, np.clip(canvas.main * 0.6 + 0.38, 0.0, 1.0), shaft * (1.0 - tip))
    return Surface(colour, height + 0.03 * barbs + 0.1 * shaft, relief=0.10 / per_unit, roughness=0.6)
