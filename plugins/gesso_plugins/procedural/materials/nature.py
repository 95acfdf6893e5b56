"""Water, ice, fire and sky: ice, water, lava, clouds, stars, crystal, coral and paper."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, luminance, mix, rgb, smoothstep, tint, wrapped
from ..canvas import Canvas
from ..registry import material
from ..surface import Surface
from .stone import vein


@material(
    "ice",
    words=("ice", "frozen lake", "frozen water"),
    colours=("blue", "teal", "white"),
    wear=("snowy", "wet", "scratched"),
)
def ice(canvas: Canvas) -> Surface:
    """Clear, deep ice crossed by thin white fractures and faint clouds of bubbles."""
    push = canvas.push(0.02, 3.0, 1.6)
    big = canvas.cells(canvas.by_scale(5, 4, 3), 1.0, push=push)
    small = canvas.cells(canvas.by_scale(11, 8, 6), 1.0, push=push)
    broken = smoothstep(-0.1, 0.9, canvas.noise(2.0, 1.6, high=12.0))
    crack = np.clip(np.exp(-big.edge / 0.018) + 0.55 * broken * np.exp(-small.edge / 0.022), 0.0, 1.0)
    halo = np.exp(-big.gap / 0.14)
    cloud = canvas.noise(2.0, 1.7, high=64.0)
    pane = canvas.spread(big.ident, big.count, -0.08, 0.08)
    base = canvas.main * 0.52 + rgb(0.30, 0.42, 0.48)
    depth = np.clip(0.40 + 0.10 * cloud + 0.22 * halo + pane, 0.0, 1.0)
    colour = mix(mix(base * 0.72, base * 0.6 + rgb(0.36, 0.39, 0.41), depth), rgb(0.95, 0.98, 1.0), crack * np.float32(0.85))
    return Surface(colour, -0.5 * crack + 0.03 * cloud, relief=0.003, roughness=0.07 + 0.4 * crack)


@material(
    "water",
    words=("water", "pool water", "rippling water", "sea water", "ocean", "swimming pool"),
    colours=("blue", "blue", "teal", "green"),
    wear=(),
)
def water(canvas: Canvas) -> Surface:
    """Shallow water over a pale ground: a net of bright caustics on slow swells."""
    push = canvas.push(0.045, 2.0, 2.0)
    net = canvas.cells(canvas.by_scale(9, 6, 4), 0.95, push=push)
    second = canvas.cells(canvas.by_scale(13, 9, 6), 0.95, push=push)
    light = np.exp(-net.gap * 7.5) + 0.45 * np.exp(-second.gap * 9.5)
    swell = canvas.noise(1.5, 1.9, high=16.0)
    base = canvas.main * 0.9 + rgb(0.0, 0.05, 0.07)
    colour = mix(tint(base, 0.92 + 0.10 * swell), base * 0.25 + rgb(0.70, 0.76, 0.76), np.clip(light * 0.72 - 0.06, 0.0, 1.0))
    waves = canvas.noise(3.0, 2.0, high=32.0)
    return Surface(colour, waves, relief=0.003, roughness=0.05)


@material(
    "lava",
    words=("lava", "glowing lava", "molten lava", "magma", "molten rock"),
    colours=("orange", "orange", "orange", "red", "yellow", "blue", "green", "purple"),
    wear=(),
)
def lava(canvas: Canvas) -> Surface:
    """Dark, broken crust over a glow that shines from the cracks."""
    per_unit = canvas.by_scale(8, 5, 4)
    cells = canvas.cells(per_unit, 0.95, push=canvas.push(0.025, 3.0, 1.5))
    grain = canvas.noise(6.0, 1.15, high=160.0)
    spread = 0.10 + 0.05 * canvas.noise(2.0, 1.6, high=12.0)
    heat = np.exp(-cells.gap / np.maximum(spread + 0.012 * grain, 0.03)) * 1.35
    crust = smoothstep(0.0, 0.30, cells.gap) * (0.8 + 0.12 * grain)
    rock = tint(canvas.main * 0.05 + rgb(0.10, 0.09, 0.09), 1.0 + 0.25 * grain)
    bright = np.clip(canvas.main * 1.15 / float(canvas.main.max()), 0.0, 1.0)
    glow = np.clip(heat, 0.0, 1.0)
    melt = mix(bright * rgb(0.80, 0.62, 0.62), bright, smoothstep(0.2, 0.7, heat))
    melt = mix(melt, bright * 0.45 + rgb(0.55, 0.50, 0.34), smoothstep(0.8, 1.25, heat))
    return Surface(mix(rock, melt, glow), crust, relief=0.15 / per_unit, roughness=0.9 - 0.4 * glow, glow=glow)


@material(
    "clouds",
    words=("cloudy sky", "clouds", "sky"),
    colours=("blue", "blue", "blue", "pink", "orange", "purple", "grey", "teal"),
    second=("white",),
    wear=(),
)
def clouds(canvas: Canvas) -> Surface:
    """White cumulus with shaded undersides in a sky of the main colour."""
    body = canvas.noise(2.0, 1.65, high=128.0, stretch=1.3)
    cover = smoothstep(0.05, 0.85, body)
    thick = smoothstep(0.5, 2.2, body)
    wisps = smoothstep(-0.4, 1.6, body) * np.float32(0.22)
    sky = tint(canvas.main * 0.72 + rgb(0.16, 0.22, 0.28), 1.0 + 0.02 * canvas.noise(1.0, 2.0, high=4.0))
    white = mix(canvas.second * 0.5 + 0.52, canvas.second * 0.78 + 0.11, thick * np.float32(0.8))
    colour = mix(sky, white, np.maximum(cover, wisps))
    return Surface(colour, cover + 0.5 * thick, relief=0.006, roughness=1.0, glow=0.55)


@material(
    "starry_space",
    words=("starry space", "space", "night sky", "stars", "nebula", "galaxy"),
    colours=("purple", "blue", "pink", "teal", "red", "green"),
    wear=(),
)
def starry_space(canvas: Canvas) -> Surface:
    """Black space with a glowing nebula and stars of many sizes."""
    gas = canvas.noise(1.5, 1.6, high=96.0)
    other = canvas.noise(2.0, 1.6, high=96.0)
    dust = smoothstep(-0.2, 1.8, gas + 0.3 * np.abs(other))
    core = smoothstep(1.0, 2.6, gas)
    colour = mix(rgb(0.015, 0.016, 0.04), canvas.main * 0.95, dust * np.float32(0.85))
    colour = mix(colour, np.clip(canvas.main * 0.5 + 0.5, 0.0, 1.0), core * np.float32(0.7))
    for per_unit, size in ((22, 0.22), (9, 0.10)):
        cells = canvas.cells(per_unit * canvas.by_scale(3, 2, 2) / 2, 1.0)
        power = canvas.spread(cells.ident, cells.count) ** 4
        point = np.exp(-((cells.nearest / (size * (0.35 + 0.65 * power))) ** 2)) * (0.25 + 0.75 * power)
        colour = mix(colour, rgb(1.0, 0.98, 0.95), np.clip(point, 0.0, 1.0))
    return Surface(colour, np.zeros((canvas.height, canvas.width), np.float32), relief=0.001, roughness=1.0, glow=1.0)


@material(
    "crystal",
    words=("crystal", "crystals", "gemstone", "amethyst", "gems"),
    colours=("purple", "blue", "teal", "pink", "green", "white", "red"),
    wear=("cracked", "dusty", "wet"),
)
def crystal(canvas: Canvas) -> Surface:
    """Close-grown crystal points seen from above: each cell a pyramid of flat, gleaming faces."""
    per_unit = canvas.by_scale(8, 6, 4)
    cells = canvas.cells(per_unit, 1.0, stretch=0.8)
    sides = 6.0
    turn = np.arctan2(cells.dy, cells.dx) + canvas.spread(cells.ident, cells.count, 0.0, 6.28)
    face = np.floor(turn * np.float32(sides / (2.0 * np.pi)))
    middle = (face + 0.5) * np.float32(2.0 * np.pi / sides) - turn
    slope = cells.nearest * np.cos(middle)
    facet = canvas.spread((cells.ident * 7 + wrapped(face, 6)) % 997, 997, -1.0, 1.0)
    rise = canvas.spread(cells.ident, cells.count, 0.7, 1.3)
    body = smoothstep(0.0, 0.07, cells.edge)
    inner = canvas.noise(4.0, 1.4, high=96.0)
    colour = mix(
        canvas.main * 0.42,
        np.clip(canvas.main * 0.85 + 0.30, 0.0, 1.0),
        np.clip(0.42 + 0.34 * facet + 0.06 * inner + 0.25 * np.exp(-5.0 * cells.nearest), 0.0, 1.0),
    )
    return Surface(colour * (0.45 + 0.55 * body), rise - slope, relief=0.45 / per_unit, roughness=0.08)


@material(
    "coral",
    words=("coral", "brain coral", "reef"),
    colours=("pink", "orange", "red", "yellow", "purple", "teal", "white"),
    wear=("wet", "dirty", "mossy"),
)
def coral(canvas: Canvas) -> Surface:
    """Brain coral: thick ridges wandering like a maze."""
    ring = float(canvas.by_scale(13, 9, 6))
    maze = canvas.noise(ring, 0.0, high=ring * 1.25)
    ridge = smoothstep(-0.75, 0.75, maze)
    notch = np.exp(-((maze - 1.2) ** 2) * 6.0) * np.float32(0.18)
    grain = canvas.noise(24.0, 0.5, high=200.0)
    colour = mix(canvas.main * 0.34, np.clip(canvas.main * 1.02 + 0.09, 0.0, 1.0), np.clip(ridge * 0.95 + 0.05 * grain, 0.0, 1.0))
    return Surface(colour, ridge + 0.05 * grain - notch, relief=0.26 / ring, roughness=0.75)


@material(
    "paper",
    words=("crumpled paper", "paper", "wrinkled paper", "parchment"),
    adjectives=("crumpled", "wrinkled"),
    colours=("white", "white", "beige", "brown", "yellow", "pink", "blue"),
    wear=("dirty", "wet", "worn"),
)
def paper(canvas: Canvas) -> Surface:
    """A sheet crumpled and smoothed out again: flat facets, sharp folds."""
    height: Field = np.zeros((1, 1), np.float32)
    folds: Field = np.zeros((1, 1), np.float32)
    reach = canvas.by_scale(4, 3, 2)
    turn = canvas.uniform(0.0, 2.0 * np.pi)
    for number in range(7):
        angle, often = turn + 2.4 * number, reach * (1.0 + 0.35 * number)
        across, down = round(often * canvas.aspect[0] * np.cos(angle)), round(often * canvas.aspect[1] * np.sin(angle))
        phase = canvas.u * across + canvas.v * down + np.float32(canvas.uniform(0.0, 1.0)) + np.float32(2.2) * height
        zigzag = np.abs(phase - np.floor(phase) - np.float32(0.5))
        height = height + zigzag * np.float32(0.5 / (1.0 + 0.55 * number))
        folds = np.maximum(folds, np.exp(np.minimum(zigzag, 0.5 - zigzag) * np.float32(-60.0)) * np.float32(1.0 / (1.0 + 0.3 * number)))
    pulp = canvas.noise(20.0, 0.6, high=220.0)
    colour = tint(canvas.main, 0.985 - 0.05 * folds + 0.015 * pulp)
    return Surface(colour, height + 0.004 * pulp, relief=0.24 / reach, roughness=0.95)


@material(
    "smoke",
    words=("smoke", "fog", "mist", "swirling smoke"),
    colours=("grey", "grey", "white", "black", "blue", "purple", "red"),
    wear=(),
)
def smoke(canvas: Canvas) -> Surface:
    """Veils of smoke folding over each other before the dark."""
    swirl, fold = canvas.noise(1.5, 2.4, high=64.0, stretch=1.5, angle=0.7), canvas.noise(2.0, 2.2, high=64.0)
    veils = vein(swirl + 0.25 * fold, 0.9) * 0.55 + vein(fold - 0.3 * swirl, 0.45) * 0.5 + 0.08 * fold
    bright = canvas.main * 0.62 + (0.30 if luminance(canvas.main) > 0.25 else 0.12)
    colour = mix(canvas.main * 0.12 + 0.015, bright, np.clip(veils, 0.0, 1.0))
    return Surface(colour, veils, relief=0.004, roughness=1.0, glow=0.7)
