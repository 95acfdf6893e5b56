"""Cloth, yarn, hide and pelt: woven, twilled, knitted, tufted, quilted, plaid."""

from __future__ import annotations

import numpy as np

from ..arrays import Field, mix, per_cell, rgb, smoothstep, tint, wrapped
from ..canvas import Canvas
from ..grids import checks
from ..registry import SOFT, material
from ..surface import Surface

UPRIGHT = np.pi / 2.0


def threads(canvas: Canvas, columns: int, rows: int) -> tuple[Field, Field, Field]:
    """A plain weave: height 0..1, 1 where the weft (lying thread) is on top, and fibre noise along the thread seen."""
    blocks, weft = checks(columns, rows, canvas.aspect, canvas.u, canvas.v)
    bump_x, bump_y = np.sin(np.pi * blocks.x), np.sin(np.pi * blocks.y)
    height = np.where(weft > 0.5, bump_y * (0.45 + 0.55 * bump_x), bump_x * (0.45 + 0.55 * bump_y))
    lying = canvas.noise(12.0, 0.7, high=200.0, stretch=6.0)
    standing = canvas.noise(12.0, 0.7, high=200.0, stretch=6.0, angle=UPRIGHT)
    return height, weft, np.where(weft > 0.5, lying, standing)


@material("fabric", words=("woven fabric", "fabric", "cloth", "linen", "canvas", "cotton", "textile"), wear=SOFT)
def fabric(canvas: Canvas) -> Surface:
    """Plain weave with slubs."""
    columns, rows = canvas.counts(canvas.by_scale(32, 22, 14), even_rows=True)
    columns += columns % 2
    height, weft, fibre = threads(canvas, columns, rows)
    colour = tint(canvas.main, (0.55 + 0.52 * height) * (1.0 + 0.10 * fibre) * (0.96 + 0.08 * weft))
    return Surface(colour, height + 0.1 * fibre, relief=0.10 * canvas.aspect[1] / rows, roughness=0.95)


@material("burlap", words=("burlap", "sackcloth", "hessian", "jute"), colours=("beige", "brown", "beige", "grey"), wear=SOFT)
def burlap(canvas: Canvas) -> Surface:
    """Loose, uneven, hairy threads with holes between."""
    columns, rows = canvas.counts(canvas.by_scale(24, 18, 12), even_rows=True)
    columns += columns % 2
    u, v = canvas.warped(0.10 / rows, 4.0, 0.9)
    thick_x = per_cell(canvas.table(columns, 0.55, 1.0), wrapped(np.floor(canvas.u * columns), columns))
    thick_y = per_cell(canvas.table(rows, 0.55, 1.0), wrapped(np.floor(canvas.v * rows), rows))
    blocks, weft = checks(columns, rows, canvas.aspect, u, v)
    warp_thread = np.sqrt(np.maximum(1.0 - ((blocks.x - 0.5) * 2.3 / thick_x) ** 2, 0.0))
    weft_thread = np.sqrt(np.maximum(1.0 - ((blocks.y - 0.5) * 2.3 / thick_y) ** 2, 0.0))
    height = np.maximum(warp_thread * (1.15 - 0.5 * weft), weft_thread * (0.65 + 0.5 * weft))
    hair = canvas.noise(16.0, 0.6, high=200.0, stretch=4.0, angle=0.6)
    colour = tint(canvas.main, (0.25 + 0.72 * np.clip(height, 0.0, 1.0)) * (1.0 + 0.11 * hair))
    return Surface(colour, height + 0.1 * hair, relief=0.22 * canvas.aspect[1] / rows, roughness=0.98)


@material("denim", words=("denim", "jeans"), colours=("blue", "blue", "blue", "black", "grey"), wear=SOFT)
def denim(canvas: Canvas) -> Surface:
    """Diagonal twill: dyed warp, pale weft, slubby fading."""
    columns, rows = canvas.counts(canvas.by_scale(40, 30, 20))
    twill = np.float32(2.0 * np.pi) * (canvas.u * columns + canvas.v * rows)
    ridge = 0.5 + 0.5 * np.sin(twill)
    slub = canvas.noise(6.0, 0.8, high=200.0, stretch=10.0, angle=UPRIGHT)
    fade = canvas.noise(1.5, 1.6, high=12.0)
    pale = canvas.main * 0.45 + rgb(0.42, 0.44, 0.46)
    weft = np.clip((1.0 - ridge) * 0.55 + 0.10 * slub + 0.05 * fade, 0.0, 1.0)
    colour = mix(canvas.main * 0.82, pale, weft) * (1.0 + 0.10 * slub)
    return Surface(colour, ridge + 0.15 * slub, relief=0.10 * canvas.aspect[1] / rows, roughness=0.95)


@material(
    "knit",
    words=("knitted wool", "knit", "knitted sweater", "knitwear", "knitted fabric", "wool"),
    adjectives=("knitted",),
    absorbs=("fabric",),
    wear=SOFT,
)
def knit(canvas: Canvas) -> Surface:
    """Stocking stitch: columns of interlocked V-shaped stitches."""
    rows = canvas.counts(canvas.by_scale(20, 14, 9))[1]
    columns = canvas.counts(canvas.by_scale(16, 11, 7))[0]
    x, y = canvas.u * columns, canvas.v * rows
    across = x - np.floor(x) - 0.5
    side = np.abs(across) * 2.0
    along = y + side * 0.95
    stitch = along - np.floor(along)
    yarn = np.sqrt(np.maximum(1.0 - ((stitch - 0.5) * 2.05) ** 2, 0.0))
    body = np.sqrt(np.maximum(1.0 - ((side - 0.52) / 0.56) ** 2, 0.0))
    height = yarn * body
    twist = np.sin(np.float32(2.0 * np.pi) * (along * 3.0 + side * 2.0))
    fuzz = canvas.noise(30.0, 0.4, high=200.0)
    ident = wrapped(np.floor(along), rows) * columns + wrapped(np.floor(x), columns)
    shade = canvas.shaded(canvas.main, ident, rows * columns, 0.05, 0.012)
    colour = shade * ((0.34 + 0.70 * height) * (1.0 + 0.05 * twist * body + 0.05 * fuzz))
    return Surface(colour, height + 0.06 * twist + 0.05 * fuzz, relief=0.35 * canvas.aspect[1] / rows, roughness=0.98)


@material(
    "leather",
    words=("leather", "cowhide leather", "leather upholstery", "hide"),
    colours=("brown", "brown", "black", "beige", "red", "white"),
    wear=("worn", "scratched", "dirty", "cracked"),
)
def leather(canvas: Canvas) -> Surface:
    """Fine, soft creases that join into larger folds, with a sheen."""
    push = canvas.push(0.006, 6.0, 1.2)
    cells = canvas.cells(canvas.by_scale(34, 25, 17), 1.0, push=push)
    folds = canvas.cells(canvas.by_scale(9, 7, 5), 1.0, push=push)
    crease = smoothstep(0.0, 0.28, cells.gap)
    fold = smoothstep(0.0, 0.12, folds.edge)
    blotch = canvas.noise(2.0, 1.6, high=32.0)
    height = crease * 0.7 + fold * 0.25 + 0.05 * blotch
    colour = tint(canvas.main, (0.80 + 0.16 * crease + 0.05 * fold) * (1.0 + 0.06 * blotch))
    return Surface(colour, height, relief=0.0055, roughness=0.46 - 0.12 * crease)


@material(
    "fur",
    words=("fur", "fluffy fur", "animal fur", "faux fur", "fuzzy fur"),
    colours=("brown", "white", "grey", "black", "beige", "orange", "pink"),
    wear=("dirty", "wet", "snowy"),
)
def fur(canvas: Canvas) -> Surface:
    """Long strands combed into overlapping tufts."""
    lay = canvas.uniform(1.2, 1.9)
    strands = [canvas.noise(9.0, 0.75, high=160.0, stretch=7.0, angle=lay + bend) for bend in (-0.35, 0.0, 0.35)]
    sway = canvas.noise(2.0, 1.8, high=12.0)
    left, right = smoothstep(-1.1, 0.0, sway), smoothstep(0.0, 1.1, sway)
    strand = strands[0] * (1.0 - left) + strands[1] * (left * (1.0 - right)) + strands[2] * right
    tuft = canvas.noise(4.0, 1.3, high=24.0, stretch=2.2, angle=lay)
    height = 0.5 * strand + 0.5 * tuft
    colour = mix(canvas.main * 0.42, canvas.main * 0.86 + 0.14, np.clip(0.55 + 0.20 * strand + 0.15 * tuft, 0.0, 1.0))
    return Surface(colour, height, relief=0.009, roughness=0.8)


@material("carpet", words=("carpet", "rug", "shag carpet", "carpeting"), wear=SOFT)
def carpet(canvas: Canvas) -> Surface:
    """A loop pile: small round tufts in wandering rows."""
    push = canvas.push(0.006, 6.0, 1.2)
    cells = canvas.cells(canvas.by_scale(34, 25, 17), 0.55, staggered=True, push=push)
    loop = np.sqrt(smoothstep(0.62, 0.0, cells.nearest))
    yarn = canvas.noise(30.0, 0.4, high=200.0)
    flecks = canvas.shaded(canvas.main, cells.ident, cells.count, 0.13, 0.03)
    patch = canvas.noise(2.0, 1.5, high=16.0)
    colour = flecks * ((0.58 + 0.44 * loop) * (1.0 + 0.12 * yarn + 0.03 * patch))
    return Surface(colour, loop + 0.18 * yarn, relief=0.18 / canvas.by_scale(34, 25, 17), roughness=1.0)


@material(
    "quilt",
    words=("quilted fabric", "quilt", "padded upholstery", "tufted upholstery", "quilted leather", "padded fabric"),
    adjectives=("quilted",),
    absorbs=("fabric", "leather"),
    wear=SOFT,
)
def quilt(canvas: Canvas) -> Surface:
    """Padded diamonds between stitched seams, a button at each crossing."""
    columns, rows = canvas.counts(canvas.by_scale(6, 4, 3))
    x, y = canvas.u * columns, canvas.v * rows
    first, second = x + y, x - y
    a = np.abs(first - np.floor(first) - 0.5) * 2.0
    b = np.abs(second - np.floor(second) - 0.5) * 2.0
    puff = np.sqrt(np.maximum((1.0 - a**2) * (1.0 - b**2), 0.0))
    seam = 1.0 - smoothstep(0.0, 0.055, 1.0 - np.maximum(a, b))
    button_x, button_y = x + 0.5 - np.floor(x + 1.0), y - np.floor(y + 0.5)
    other_x, other_y = x - np.floor(x + 0.5), y + 0.5 - np.floor(y + 1.0)
    away = np.minimum(button_x**2 + button_y**2, other_x**2 + other_y**2)
    button = smoothstep(0.085, 0.07, np.sqrt(away))
    weave = canvas.noise(40.0, 0.3, high=200.0)
    colour = tint(canvas.main, (0.78 + 0.22 * puff) * (1.0 - 0.45 * seam) * (1.0 + 0.03 * weave))
    colour = mix(colour, canvas.main * 0.8 + 0.1, button)
    return Surface(colour, puff + 0.28 * button - 0.05 * seam, relief=0.16 * canvas.aspect[1] / rows, roughness=0.6)


@material(
    "plaid",
    words=("plaid", "tartan", "plaid fabric", "checked cloth", "flannel"),
    second=(),
    absorbs=("fabric",),
    wear=SOFT,
)
def plaid(canvas: Canvas) -> Surface:
    """Bands of two colours crossing in a twill, with thin overstripes."""
    columns, rows = canvas.counts(canvas.by_scale(4, 3, 2))
    line = canvas.main * 0.35 + 0.6 if canvas.uniform(0.0, 1.0) < 0.5 else canvas.second * 0.30

    def sett(position: Field) -> tuple[Field, Field]:
        part = position - np.floor(position)
        band = smoothstep(0.04, 0.05, part) * smoothstep(0.47, 0.46, part)
        thin = np.maximum(smoothstep(0.022, 0.016, np.abs(part - 0.73)), smoothstep(0.022, 0.016, np.abs(part - 0.255)))
        return band, thin

    band_x, thin_x = sett(canvas.u * columns)
    band_y, thin_y = sett(canvas.v * rows)
    fine_x, fine_y = columns * 16, rows * 16
    twill = np.sin(np.float32(2.0 * np.pi) * (canvas.u * fine_x + canvas.v * fine_y))
    over = smoothstep(-0.25, 0.25, twill)
    warp = mix(mix(canvas.main, canvas.second, band_x), line, thin_x * np.float32(0.85))
    weft = mix(mix(canvas.main, canvas.second, band_y), line, thin_y * np.float32(0.85))
    blended = mix(warp, weft, 0.25 + 0.5 * over)
    fibre = canvas.noise(24.0, 0.5, high=200.0)
    return Surface(blended * (1.0 + 0.05 * fibre + 0.04 * twill), twill + 0.3 * fibre, relief=0.0012, roughness=0.95)
