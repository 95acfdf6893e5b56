"""Wear and weather laid over any surface: each function edits the layers in place and knows nothing of the material beneath."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .arrays import Field, lerp, mix, rgb, smoothstep, tint
from .canvas import Canvas
from .recipe import WEARS
from .surface import Surface

Weather = Callable[[Surface, Canvas], None]


def weather(surface: Surface, canvas: Canvas) -> None:
    """Apply the recipe's wear in the order in which time would."""
    for name in WEARS:
        if name in canvas.recipe.wear:
            _WEATHERS[name](surface, canvas)


def _raise(surface: Surface, amount: Field) -> None:
    """Add to the height an amount given in units of the tile rather than of the relief."""
    surface.height = surface.height + amount * np.float32(1.0 / surface.relief)


def _cover(surface: Surface, cover: Field, colour: Field, roughness: float) -> None:
    """Lay an opaque, non-metallic coat over the surface where `cover` is 1."""
    surface.colour = mix(surface.colour, colour, cover)
    surface.roughness = lerp(surface.roughness, roughness, cover)
    surface.metallic = surface.metallic * (1.0 - cover)
    surface.glow = surface.glow * (1.0 - cover)


def _low_places(surface: Surface) -> Field:
    """About 1 in the hollows and -1 on the tops, whatever the units of the height."""
    height = surface.height
    deviation = float(height.std())
    depth: Field = np.clip((float(height.mean()) - height) * np.float32(1.0 / max(deviation, 1e-3)), -1.5, 1.5)
    return depth


def _worn(surface: Surface, canvas: Canvas) -> None:
    patch = smoothstep(0.1, 0.8, canvas.noise(4.0, 1.1, high=64.0) - 0.35 * _low_places(surface)) * np.float32(0.6)
    grey = np.float32(0.62) + surface.colour.mean(axis=(1, 2), keepdims=True) * np.float32(0.25)
    surface.colour = mix(surface.colour, np.broadcast_to(grey, (3, 1, 1)), patch)
    surface.roughness = lerp(surface.roughness, 0.85, patch)
    _raise(surface, patch * np.float32(-0.002))


def _scratched(surface: Surface, canvas: Canvas) -> None:
    lines = np.zeros((1, 1), np.float32)
    for angle in (0.35, -0.5, 1.2):
        ridge = 1.0 - np.abs(canvas.noise(6.0, 0.6, high=220.0, stretch=22.0, angle=angle)) * 9.0
        lines = np.maximum(lines, np.maximum(ridge, 0.0) * smoothstep(0.5, 1.4, canvas.noise(2.0, 1.2, high=12.0)))
    surface.colour = mix(surface.colour, np.clip(surface.colour * 1.3 + 0.22, 0.0, 1.0), lines)
    _raise(surface, lines * np.float32(-0.0025))


def _cracked(surface: Surface, canvas: Canvas) -> None:
    cells = canvas.cells(canvas.by_scale(5, 4, 3), 1.0, push=canvas.push(0.022, 4.0, 1.5))
    width = 0.045 + 0.03 * canvas.spread(cells.ident, cells.count, -1.0, 1.0)
    crack = 1.0 - smoothstep(0.3, 1.0, cells.edge / width)
    surface.colour = surface.colour * (1.0 - 0.72 * crack)
    surface.glow = surface.glow * (1.0 - crack)
    surface.roughness = lerp(surface.roughness, 0.9, crack)
    _raise(surface, crack * np.float32(-0.012))


def _dirty(surface: Surface, canvas: Canvas) -> None:
    patch = canvas.noise(2.0, 1.3, high=48.0) * 0.7 + 0.55 * _low_places(surface)
    cover = smoothstep(-0.6, 1.3, patch) * np.float32(0.72)
    _cover(surface, cover, tint(rgb(0.20, 0.155, 0.10), 1.0 + 0.14 * canvas.noise(12.0, 0.8, high=96.0)), 0.92)


def _dusty(surface: Surface, canvas: Canvas) -> None:
    cover = smoothstep(-1.4, 1.6, canvas.noise(3.0, 1.2, high=48.0) + 0.3 * _low_places(surface)) * np.float32(0.6)
    _cover(surface, cover, tint(rgb(0.72, 0.66, 0.56), 1.0 + 0.04 * canvas.noise(24.0, 0.5, high=128.0)), 0.95)


def _rusty(surface: Surface, canvas: Canvas) -> None:
    cover = smoothstep(-0.05, 0.5, canvas.noise(3.0, 1.3, high=96.0) + 0.15 * _low_places(surface))
    spots = canvas.noise(6.0, 1.0, high=96.0)
    rust = mix(rgb(0.27, 0.12, 0.06), rgb(0.68, 0.34, 0.12), np.clip(0.5 + 0.3 * spots, 0.0, 1.0))
    _cover(surface, cover, rust, 0.9)
    _raise(surface, cover * (0.0012 + 0.0012 * spots))


def _mossy(surface: Surface, canvas: Canvas) -> None:
    clumps = canvas.noise(10.0, 1.0, high=96.0)
    cover = smoothstep(0.15, 0.65, canvas.noise(2.0, 1.6, high=32.0) * 0.75 + 0.5 * _low_places(surface) + 0.22 * clumps)
    moss = mix(rgb(0.15, 0.23, 0.06), rgb(0.43, 0.53, 0.17), np.clip(0.5 + 0.28 * clumps, 0.0, 1.0))
    _cover(surface, cover, moss, 0.98)
    _raise(surface, cover * (0.006 + 0.0035 * clumps))


def _wet(surface: Surface, canvas: Canvas) -> None:
    sheen = canvas.noise(1.5, 2.2, high=10.0)
    pool = smoothstep(0.95, 1.35, sheen + 0.7 * _low_places(surface))
    grey = surface.colour.mean(axis=0, keepdims=True)
    surface.colour = np.clip(surface.colour * 1.12 - grey * 0.12, 0.0, 1.0) * (0.66 - 0.03 * sheen)
    mirror = mix(rgb(0.50, 0.58, 0.66), rgb(0.80, 0.85, 0.90), smoothstep(0.9, 2.2, sheen))
    surface.colour = mix(surface.colour, mirror, pool * np.float32(0.22))
    surface.roughness = lerp(lerp(surface.roughness, 0.16, np.float32(0.85) + np.zeros_like(pool)), 0.04, pool)
    level = float(surface.height.mean())
    surface.height = lerp(surface.height, level, pool * np.float32(0.9))


def _snowy(surface: Surface, canvas: Canvas) -> None:
    drift = canvas.noise(2.0, 1.7, high=24.0)
    cover = smoothstep(-0.15, 0.35, drift * 0.8 - 0.45 * _low_places(surface))
    _cover(surface, cover, tint(rgb(0.93, 0.95, 0.98), 1.0 + 0.015 * canvas.noise(16.0, 0.6, high=96.0)), 0.75)
    level = float(surface.height.mean())
    surface.height = lerp(surface.height, level + 0.45 * (surface.height - level), cover)
    _raise(surface, cover * (0.008 + 0.003 * drift))


_WEATHERS: dict[str, Weather] = {
    "worn": _worn,
    "scratched": _scratched,
    "cracked": _cracked,
    "dirty": _dirty,
    "dusty": _dusty,
    "rusty": _rusty,
    "mossy": _mossy,
    "wet": _wet,
    "snowy": _snowy,
}
