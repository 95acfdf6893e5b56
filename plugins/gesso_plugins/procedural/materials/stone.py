"""Stone and what is poured like it: rock, marble, granite, sandstone, slate, concrete, asphalt, plaster."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, float32, luminance, mix, per_cell, rgb, smoothstep, tint, wrapped
from ..canvas import Canvas
from ..registry import HARD, STONES, material
from ..surface import Surface


def vein(field: Field, width: float) -> Field:
    """1 on the zero lines of a field, falling to 0 over about `width`."""
    return np.exp(-np.abs(field) * np.float32(1.0 / width))


@material(
    "rock",
    words=("rock", "rocks", "cliff", "cliff rock", "rough stone", "boulder", "stone"),
    colours=STONES,
    wear=("mossy", "cracked", "snowy", "wet"),
)
def rock(canvas: Canvas) -> Surface:
    """A broken cliff face: big facets, smaller facets, fissures."""
    height: Field = np.zeros((1, 1), np.float32)
    per_unit = canvas.by_scale(5, 4, 3)
    push = canvas.push(0.05 / per_unit, 3.0, 1.5)
    for octave, weight in ((1.0, 1.0), (2.6, 0.40)):
        cells = canvas.cells(per_unit * octave, 1.0, push=push, stretch=1.3)
        lean_x, lean_y, rise = (canvas.spread(cells.ident, cells.count, -1.0, 1.0) for _ in range(3))
        fissure = 1.0 - smoothstep(0.0, 0.05, cells.edge)
        height = height + np.float32(weight) * (0.95 * (lean_x * cells.dx + lean_y * cells.dy) + 0.35 * rise - 0.25 * fissure)
    rough = canvas.noise(8.0, 1.4, high=220.0)
    height = height + 0.05 * rough
    colour = tint(canvas.main, 0.95 + 0.16 * np.clip(height, -1.2, 1.2) + 0.06 * rough + 0.05 * canvas.noise(2.0, 1.5))
    return Surface(colour, height, relief=0.34 / per_unit, roughness=0.92)


@material(
    "marble",
    words=("marble", "polished marble", "marble slab"),
    colours=("white", "white", "black", "green", "beige", "pink", "grey"),
    wear=("cracked", "dirty", "wet"),
)
def marble(canvas: Canvas) -> Surface:
    """Clouded stone with branching veins along a drift."""
    drift = 2.0 * np.pi * (canvas.u * canvas.turns(1) + canvas.v * max(1, round(canvas.aspect[1])))
    cloud = canvas.noise(1.5, 1.7, high=96.0)
    swirl = canvas.noise(1.5, 2.3, high=96.0)
    wave = np.abs(np.sin(drift + 2.0 * swirl))
    main_veins = vein(wave, 0.075) * smoothstep(-1.6, 0.6, cloud) + 0.42 * vein(wave, 0.34)
    fine_veins = vein(canvas.noise(2.0, 2.0, high=96.0), 0.035) * smoothstep(-0.6, 1.0, -cloud) * np.float32(0.75)
    veins = np.clip(main_veins + fine_veins, 0.0, 1.0)
    dark = luminance(canvas.main) < 0.45
    line = canvas.main * 0.35 + rgb(0.60, 0.59, 0.56) if dark else canvas.main * 0.36
    ground = tint(canvas.main, 1.0 + 0.055 * cloud + 0.03 * swirl)
    colour = mix(ground, line, veins * np.float32(0.88))
    return Surface(colour, veins * np.float32(-0.15), relief=0.003, roughness=0.12)


@material("granite", words=("granite", "speckled granite", "granite slab"), colours=STONES, wear=("cracked", "dirty", "wet"))
def granite(canvas: Canvas) -> Surface:
    """Interlocked crystals of three minerals, polished."""
    per_unit = canvas.by_scale(54, 40, 28)
    cells = canvas.cells(per_unit, 1.0)
    base = canvas.main[:, None]
    pale, dark = base * 0.35 + 0.62, base * 0.22
    kind = canvas.paint.choice(4, cells.count, p=(0.46, 0.22, 0.14, 0.18))
    minerals = np.stack((base[:, 0], pale[:, 0], base[:, 0] * 0.62, dark[:, 0]), axis=1)
    table = minerals[:, kind] * canvas.paint.normal(1.0, 0.07, cells.count)
    colour = per_cell(float32(table), cells.ident) * (1.0 + 0.06 * canvas.noise(3.0, 1.0, high=64.0))
    return Surface(colour, canvas.noise(30.0, 0.5, high=200.0) * np.float32(0.1), relief=0.002, roughness=0.22)


@material(
    "sandstone",
    words=("sandstone", "layered rock", "rock strata", "limestone"),
    colours=("beige", "orange", "red", "yellow", "brown", "grey"),
    wear=HARD,
)
def sandstone(canvas: Canvas) -> Surface:
    """Wavy strata, each of its own shade and hardness."""
    layers = canvas.counts(canvas.by_scale(16, 11, 7))[1]
    wave = canvas.noise(1.5, 2.0, high=32.0, stretch=3.0) * 0.03 + canvas.noise(8.0, 1.2, high=128.0) * 0.0022
    position = (canvas.v + wave / canvas.aspect[1]) * layers
    layer = np.floor(position)
    inside = position - layer
    ident = wrapped(layer, layers)
    grain = canvas.noise(24.0, 0.5, high=220.0, stretch=1.6)
    hardness = canvas.spread(ident, layers, 0.0, 1.0)
    ledge = smoothstep(0.0, 0.16, inside) * (1.0 - smoothstep(0.8, 1.0, inside))
    colour = canvas.shaded(canvas.main, ident, layers, 0.16, 0.035) * (0.80 + 0.22 * ledge + 0.06 * grain)
    height = ledge * (0.45 + 0.55 * hardness) + 0.09 * grain + 0.15 * canvas.noise(4.0, 1.4, high=96.0)
    return Surface(colour, height, relief=0.016, roughness=0.95)


@material("slate", words=("slate", "slate stone", "shale"), colours=("grey", "black", "blue", "purple", "green"), wear=HARD)
def slate(canvas: Canvas) -> Surface:
    """Cleaved stone: flat terraces with sharp, flowing steps."""
    layers = canvas.noise(1.5, 1.8, high=160.0, stretch=1.8, angle=0.5) * np.float32(canvas.by_scale(4, 3, 2) * 0.9)
    step = np.floor(layers)
    rest = layers - step
    height = step + smoothstep(0.0, 0.12, rest) + 0.14 * rest
    grain = canvas.noise(10.0, 1.0, high=220.0, stretch=4.0, angle=0.5)
    band = np.sin(step * 2.4) * np.float32(0.07)
    colour = tint(canvas.main, 0.96 + band + 0.05 * grain + 0.16 * (smoothstep(0.0, 0.10, rest) - 1.0))
    return Surface(colour, height + 0.05 * grain, relief=0.008, roughness=0.62)


@material(
    "concrete",
    words=("concrete", "concrete wall", "cement", "bare concrete"),
    colours=("grey", "grey", "grey", "beige", "white", "black"),
    wear=HARD,
)
def concrete(canvas: Canvas) -> Surface:
    """Cast panels with clouds, pores and the holes of the formwork ties."""
    columns, rows = canvas.counts(canvas.by_scale(4, 2, 1))
    x, y = (canvas.u * columns) % 1.0, (canvas.v * rows) % 1.0
    seam_x = np.minimum(x, 1.0 - x) * (canvas.aspect[0] / columns)
    seam_y = np.minimum(y, 1.0 - y) * (canvas.aspect[1] / rows)
    seam = 1.0 - smoothstep(0.002, 0.006, np.minimum(seam_x, seam_y))
    hole_x, hole_y = np.abs(np.abs(x - 0.5) - 0.28), np.abs(np.abs(y - 0.5) - 0.28)
    away = np.sqrt((hole_x * canvas.aspect[0] / columns) ** 2 + (hole_y * canvas.aspect[1] / rows) ** 2)
    hole = 1.0 - smoothstep(0.010, 0.014, away * min(2, rows))
    pores = smoothstep(1.9, 2.4, canvas.noise(16.0, 0.7, high=96.0))
    cloud, grain = canvas.noise(2.0, 1.5, high=64.0), canvas.noise(24.0, 0.4, high=220.0)
    dents = np.clip(seam * 0.8 + hole + pores * 0.6, 0.0, 1.0)
    colour = tint(canvas.main, (1.0 + 0.06 * cloud + 0.035 * grain) * (1.0 - 0.5 * dents))
    return Surface(colour, 0.06 * grain + 0.1 * cloud - dents, relief=0.006, roughness=0.9)


@material(
    "asphalt",
    words=("asphalt", "tarmac", "road surface", "blacktop"),
    colours=("black", "black", "grey"),
    wear=("cracked", "dirty", "wet", "worn", "snowy"),
)
def asphalt(canvas: Canvas) -> Surface:
    """Coarse aggregate in tar: dark, with scattered paler stones."""
    cells = canvas.cells(canvas.by_scale(52, 38, 26), 1.0)
    size = canvas.spread(cells.ident, cells.count, 0.15, 0.6)
    stone = 1.0 - smoothstep(0.7, 1.0, cells.nearest / size)
    pale = per_cell(
        float32(canvas.paint.choice([0.5, 0.8, 1.0, 1.9, 2.6], cells.count, p=(0.3, 0.25, 0.25, 0.12, 0.08))),
        cells.ident,
    )
    tar = 0.72 + 0.07 * canvas.noise(2.0, 1.3, high=32.0)
    lift = canvas.main * 0.60 + 0.08
    colour = tint(lift, tar + stone * (0.10 + 0.30 * pale))
    return Surface(colour, stone * (0.5 + 0.2 * pale), relief=0.008, roughness=0.95)


@material(
    "plaster",
    words=("plaster", "plaster wall", "stucco", "stucco wall", "painted plaster", "render"),
    colours=("white", "beige", "yellow", "pink", "blue", "orange", "green"),
    wear=("cracked", "dirty", "worn", "wet"),
)
def plaster(canvas: Canvas) -> Surface:
    """Troweled stucco: flat, smeared islands over a sandy coat."""
    drag = canvas.noise(4.0, 1.5, high=48.0, stretch=1.8, angle=0.4) + 0.35 * canvas.noise(9.0, 1.2, high=96.0)
    islands = smoothstep(-0.25, 0.25, drag)
    strokes = canvas.noise(6.0, 0.9, high=160.0, stretch=7.0, angle=0.4)
    sand = canvas.noise(36.0, 0.3, high=220.0)
    height = islands * (0.7 + 0.05 * strokes) + (1.0 - islands) * (0.12 * sand)
    colour = tint(canvas.main, 0.95 + 0.05 * islands + 0.03 * canvas.noise(1.5, 1.6, high=16.0) + 0.02 * sand * (1.0 - islands))
    return Surface(colour, height, relief=0.008, roughness=0.93)


@material(
    "terrazzo",
    words=("terrazzo", "terrazzo floor"),
    colours=("white", "beige", "grey", "black", "pink", "green"),
    second=(),
    wear=("dirty", "cracked", "wet"),
)
def terrazzo(canvas: Canvas) -> Surface:
    """Chips of stone in a polished ground; the second colour leads among the chips."""
    colour: Field = tint(canvas.main, 1.0 + 0.03 * canvas.noise(24.0, 0.4, high=160.0))
    per_unit = canvas.by_scale(13, 9, 6)
    kinds = np.stack(
        (canvas.second, canvas.second * 0.62, canvas.second * 0.5 + 0.45, canvas.main * 0.5, canvas.main * 0.3 + 0.6),
        axis=1,
    )
    for finer, share in ((2.3, 0.55), (1.0, 0.62)):
        cells = canvas.cells(per_unit * finer, 1.0, push=canvas.push(0.004, 9.0, 1.2))
        kept = canvas.spread(cells.ident, cells.count) < share
        inset = canvas.spread(cells.ident, cells.count, 0.05, 0.2)
        chip = smoothstep(0.0, 0.04, cells.edge - inset) * kept
        kind = canvas.paint.choice(5, cells.count, p=(0.4, 0.2, 0.16, 0.12, 0.12))
        table = kinds[:, kind] * canvas.paint.normal(1.0, 0.07, cells.count)
        colour = mix(colour, per_cell(float32(table), cells.ident), chip)
    return Surface(colour, np.zeros((canvas.height, canvas.width), np.float32), relief=0.002, roughness=0.2)
