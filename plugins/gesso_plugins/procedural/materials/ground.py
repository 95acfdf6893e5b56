"""The ground underfoot: grass, moss, sand, earth, mud, leaves, straw, snow, forest floor."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, Planes, mix, rgb, smoothstep, tint
from ..canvas import Canvas
from ..registry import material
from ..stamps import Shape, Stamps, pile, stamps
from ..surface import Surface


@material(
    "grass",
    words=("grass", "lawn", "meadow", "turf"),
    colours=("green", "green", "green", "green", "yellow", "brown"),
    wear=("snowy", "wet", "dirty"),
)
def grass(canvas: Canvas) -> Surface:
    """Blades leaning three ways, light tips over dark roots."""
    coarse = canvas.by_scale(9, 7, 5)
    blades = [canvas.noise(float(coarse), 0.55, high=coarse * 9.0, stretch=5.0, angle=np.pi / 2.0 + lean) for lean in (-0.5, 0.0, 0.5)]
    top = np.maximum(np.maximum(blades[0], blades[1]), blades[2])
    clump = canvas.noise(2.0, 1.5, high=24.0)
    light = np.clip(0.30 + 0.30 * top + 0.06 * clump, 0.0, 1.0)
    which = smoothstep(-0.4, 0.4, blades[0] - blades[2])
    root, tip = canvas.main * 0.34, canvas.main * 1.12 + rgb(0.10, 0.12, 0.02)
    warm = canvas.main * rgb(1.25, 1.06, 0.80)
    colour = mix(root, mix(tip, warm, which * np.float32(0.6)), light)
    return Surface(colour, 0.4 * top + 0.15 * clump, relief=0.012, roughness=0.85)


@material(
    "flower_meadow",
    words=("flower meadow", "flowers", "flowery grass", "grass with flowers", "wildflowers"),
    absorbs=("grass",),
    colours=("white", "yellow", "red", "purple", "pink", "blue", "orange"),
    wear=("wet", "snowy"),
)
def flower_meadow(canvas: Canvas) -> Surface:
    """Blossoms of the main colour strewn over green grass."""
    blades = [canvas.noise(8.0, 0.6, high=72.0, stretch=4.0, angle=np.pi / 2.0 + lean) for lean in (-0.5, 0.5)]
    top = np.maximum(blades[0], blades[1])
    green = rgb(0.25, 0.45, 0.16)
    colour: Planes = mix(green * 0.38, green * 1.25 + 0.04, np.clip(0.38 + 0.28 * top, 0.0, 1.0))
    height = 0.3 * top
    for layer in range(2):
        mark = stamps(canvas, canvas.by_scale(10, 7, 5) * (1.0 - 0.25 * layer), size=0.36, keep=0.62)
        turn = np.arctan2(mark.y, mark.x)
        reach = 0.78 + 0.22 * np.cos(5.0 * turn)
        petals = smoothstep(1.0, 0.86, mark.distance / reach) * mark.kept
        heart = smoothstep(0.30, 0.22, mark.distance) * mark.kept
        heart_colour = rgb(0.92, 0.72, 0.16) if canvas.recipe.colour not in ("yellow", "orange") else rgb(0.42, 0.22, 0.08)
        shade = canvas.shaded(canvas.main, mark.ident, mark.count, 0.08, 0.03) * (0.80 + 0.30 * np.minimum(mark.distance, 1.0))
        colour = mix(mix(colour, shade, petals), heart_colour, heart)
        height = np.maximum(height, petals * (0.9 + 0.3 * layer - 0.3 * mark.distance) + 0.2 * heart)
    return Surface(colour, height, relief=0.012, roughness=0.8)


@material(
    "moss",
    words=("moss", "thick moss", "mossy ground", "lichen"),
    colours=("green", "green", "yellow", "brown"),
    wear=("wet", "snowy", "dirty"),
)
def moss(canvas: Canvas) -> Surface:
    """Soft cushions of tiny fronds."""
    per_unit = canvas.by_scale(9, 6, 4)
    cushions = canvas.cells(per_unit, 1.0, push=canvas.push(0.02, 5.0, 1.2))
    dome = np.sqrt(smoothstep(-0.03, 0.5, cushions.gap))
    fronds = canvas.noise(22.0, 0.35, high=90.0)
    clump = canvas.noise(6.0, 1.1, high=64.0)
    light = np.clip(0.18 + 0.46 * dome + 0.15 * fronds + 0.08 * clump, 0.0, 1.0)
    dark, pale = canvas.main * 0.36, np.clip(canvas.main * rgb(1.25, 1.10, 0.9) + rgb(0.10, 0.12, 0.0), 0.0, 1.0)
    return Surface(mix(dark, pale, light), dome + 0.12 * fronds + 0.1 * clump, relief=0.16 / per_unit, roughness=1.0)


@material(
    "sand",
    words=("sand", "rippled sand", "desert sand", "beach sand", "dunes"),
    colours=("beige", "beige", "yellow", "orange", "white", "black"),
    wear=("wet", "dirty"),
)
def sand(canvas: Canvas) -> Surface:
    """Wind ripples that fork and fade, in fine grain."""
    ripples = canvas.counts(canvas.by_scale(16, 11, 7))[1]
    sway = canvas.noise(1.5, 1.9, high=20.0, stretch=1.6)
    position = canvas.v * ripples + canvas.u * canvas.turns(1) + np.float32(ripples * 0.022) * sway
    part = position - np.floor(position)
    wave = np.where(part < 0.68, smoothstep(0.0, 0.68, part), smoothstep(1.0, 0.68, part))
    strength = 0.45 + 0.55 * smoothstep(-1.2, 0.6, canvas.noise(2.0, 1.7, high=12.0))
    grain = canvas.noise(40.0, 0.2, high=220.0)
    height = wave * strength + 0.035 * grain
    colour = tint(canvas.main, 0.90 + 0.11 * height + 0.045 * grain + 0.02 * sway)
    return Surface(colour, height, relief=0.14 / canvas.by_scale(16, 11, 7), roughness=0.95)


@material(
    "dirt",
    words=("dirt", "soil", "earth", "mud", "bare ground"),
    colours=("brown", "brown", "red", "grey", "black", "beige"),
    wear=("wet", "mossy", "snowy"),
)
def dirt(canvas: Canvas) -> Surface:
    """Crumbs and clods with scattered small stones."""
    clods, crumbs = canvas.noise(3.0, 1.4, high=160.0), np.abs(canvas.noise(10.0, 0.8, high=160.0))
    height = 0.3 * clods + 0.28 * crumbs
    colour = tint(canvas.main, 0.80 + 0.13 * clods + 0.14 * crumbs)
    mark = stamps(canvas, canvas.by_scale(12, 9, 6), size=0.24, keep=0.32)
    stone = np.sqrt(np.maximum(1.0 - mark.x**2 - 1.7 * mark.y**2 - 0.35 * mark.x * crumbs, 0.0)) * mark.kept
    shade = canvas.shaded(canvas.main * 0.6 + 0.22, mark.ident, mark.count, 0.16, 0.03)
    colour = mix(colour, shade * (0.75 + 0.25 * stone), smoothstep(0.0, 0.35, stone))
    height = np.maximum(height, height * 0.3 + stone * (0.9 + 0.2 * crumbs))
    return Surface(colour, height, relief=0.013, roughness=0.97)


@material(
    "cracked_mud",
    words=("cracked mud", "cracked earth", "dry cracked ground", "dried mud", "parched earth"),
    colours=("beige", "brown", "brown", "red", "grey"),
    absorbs=("dirt",),
    wear=("dusty", "wet", "mossy"),
)
def cracked_mud(canvas: Canvas) -> Surface:
    """Plates curled up at their rims between wide, deep cracks, with hairline cracks inside."""
    per_unit = canvas.by_scale(8, 6, 4)
    push = canvas.push(0.018, 4.0, 1.4)
    cells = canvas.cells(per_unit, 0.95, push=push)
    fine = canvas.cells(per_unit * 3.0, 1.0, push=push)
    grain = canvas.noise(10.0, 1.0, high=200.0)
    body = smoothstep(0.03, 0.085, cells.edge + 0.004 * grain)
    curl = np.exp(-np.maximum(cells.gap - 0.07, 0.0) / 0.10)
    hairline = smoothstep(0.07, 0.0, fine.edge) * np.float32(0.28)
    colour = canvas.shaded(canvas.main, cells.ident, cells.count, 0.07, 0.02) * (0.93 + 0.05 * grain + 0.14 * curl - hairline)
    height = body * (0.62 + 0.35 * curl + 0.035 * grain - 0.5 * hairline)
    return Surface(mix(canvas.main * 0.20, colour, body), height, relief=0.16 / per_unit, roughness=0.93)


@material(
    "leaves",
    words=("fallen leaves", "leaves", "autumn leaves", "leaf litter", "foliage"),
    colours=("orange", "orange", "brown", "yellow", "red", "green"),
    wear=("wet", "snowy", "dirty"),
)
def leaves(canvas: Canvas) -> Surface:
    """Layer upon layer of pointed leaves with their ribs."""
    per_unit = canvas.by_scale(9, 6, 4)
    heap = pile(canvas, [per_unit * share for share in (1.1, 0.86, 1.0, 0.8, 1.08, 0.9)], _leaf, keep=0.92)
    lane = heap.x * 4.0 - np.abs(heap.y) * 3.4
    vein = np.abs(lane - np.floor(lane + 0.5))
    rib = smoothstep(0.07, 0.02, np.abs(heap.y)) + 0.5 * smoothstep(0.13, 0.03, vein)
    shade = canvas.shaded(canvas.main, heap.ident, heap.count, 0.17, 0.13)
    litter = tint(canvas.main * 0.25, 1.0 + 0.2 * canvas.noise(6.0, 1.1, high=128.0))
    depth = 0.62 + 0.07 * heap.layer
    colour = mix(litter, shade * (depth * (0.74 + 0.26 * heap.body + 0.16 * rib)), smoothstep(0.0, 0.06, heap.body))
    height = 0.14 * heap.layer + 0.18 * heap.body + 0.25 * heap.x * heap.lean
    return Surface(colour, height, relief=0.10 / per_unit, roughness=0.7)


def _leaf(mark: Stamps) -> Field:
    """A leaf pointed at both ends, about 1 on its middle."""
    width = 0.52 * np.maximum(1.0 - mark.x * mark.x, 0.0) * (1.0 - 0.30 * mark.x)
    return 1.0 - np.abs(mark.y) / np.maximum(width, np.float32(1e-3))


@material(
    "straw",
    words=("straw", "hay", "thatch", "dry reed"),
    colours=("yellow", "beige", "yellow", "brown"),
    wear=("wet", "dirty", "snowy", "mossy"),
)
def straw(canvas: Canvas) -> Surface:
    """Stalks thrown across each other."""
    per_unit = canvas.by_scale(8, 6, 4)
    heap = pile(
        canvas,
        [per_unit * share for share in (1.2, 0.7, 1.1, 0.85, 0.65, 1.3, 0.95, 0.75, 1.15, 0.9)],
        _stalk(0.10, 0.14),
    )
    shade = canvas.shaded(canvas.main, heap.ident, heap.count, 0.18, 0.04)
    ground = tint(canvas.main * 0.36, 1.0 + 0.1 * canvas.noise(8.0, 1.0, high=128.0))
    colour = mix(ground, shade * ((0.62 + 0.045 * heap.layer) * (0.62 + 0.44 * heap.body)), smoothstep(0.0, 0.4, heap.body))
    return Surface(colour, 0.12 * heap.layer + 0.35 * heap.body, relief=0.08 / per_unit, roughness=0.75)


def _stalk(width: float, bend: float) -> Shape:
    """A thin, slightly bent rod, round across."""

    def shape(mark: Stamps) -> Field:
        across = (mark.y - np.float32(bend) * (1.0 - mark.x * mark.x) * mark.lean) * np.float32(1.0 / width)
        rod = np.sqrt(np.maximum(1.0 - across * across, 0.0))
        return rod * (np.abs(mark.x) < 0.96)

    return shape


@material("snow", words=("snow", "fresh snow", "snowdrift", "powder snow"), colours=("white",), wear=("dirty", "wet"))
def snow(canvas: Canvas) -> Surface:
    """Soft drifts with fine sparkling grain."""
    drift = canvas.noise(1.5, 2.6, high=24.0)
    crumbs = canvas.noise(14.0, 0.9, high=160.0)
    sparkle = smoothstep(2.1, 2.6, canvas.noise(50.0, 0.1, high=120.0))
    body = canvas.main * 0.45 + 0.545
    colour = tint(body, 0.985 + 0.012 * crumbs)
    hollow = smoothstep(0.4, -1.4, drift) * np.float32(0.6)
    colour = mix(colour, body * rgb(0.84, 0.91, 1.0), hollow) + sparkle * np.float32(0.04)
    return Surface(colour, 0.6 * drift + 0.022 * crumbs, relief=0.020, roughness=0.75 - 0.5 * sparkle)


@material(
    "pine_needles",
    words=("pine needles", "forest floor", "needle litter"),
    colours=("brown", "orange", "green", "brown"),
    wear=("mossy", "snowy", "wet"),
)
def pine_needles(canvas: Canvas) -> Surface:
    """A dark forest floor under thin crossing needles."""
    per_unit = canvas.by_scale(10, 7, 5)
    heap = pile(canvas, [per_unit * share for share in (1.4, 0.8, 1.2, 0.7, 1.0, 1.3, 0.9, 1.1)], _stalk(0.062, 0.22), keep=0.9)
    mould = canvas.noise(4.0, 1.3, high=96.0)
    shade = canvas.shaded(canvas.main * 1.25 + 0.03, heap.ident, heap.count, 0.25, 0.07)
    ground = tint(canvas.main * 0.32, 1.0 + 0.12 * mould)
    colour = mix(ground, shade * ((0.50 + 0.06 * heap.layer) * (0.6 + 0.5 * heap.body)), smoothstep(0.0, 0.5, heap.body))
    return Surface(colour, 0.12 * heap.layer + 0.3 * heap.body + 0.1 * mould, relief=0.06 / per_unit, roughness=0.9)
