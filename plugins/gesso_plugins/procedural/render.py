"""From a recipe to the maps: the one function that knows sizes, supersampling and limits."""

from __future__ import annotations

from .canvas import Canvas
from .maps import Maps, assemble
from .recipe import Recipe
from .registry import find_material
from .weather import weather

SMALLEST = 16
LARGEST = 4096
SUPERSAMPLED = 2048
"""Up to this side the canvas is twice as fine as the picture; beyond it pixels are finer than every feature, and memory matters more."""


def render(recipe: Recipe, width: int, height: int, seed: int, offset: tuple[int, int] = (0, 0)) -> Maps:
    """All maps of a recipe: the same arguments give the same bytes, the same recipe and seed the same layout at every size.

    `offset` moves the window over the endless pattern by whole pixels (right, down); since the tile is periodic that equals a roll.
    """
    for name, side in (("width", width), ("height", height)):
        if not SMALLEST <= side <= LARGEST:
            raise ValueError(f"The {name} must be between {SMALLEST} and {LARGEST} pixels, and {side} is not.")
    if seed < 0:
        raise ValueError(f"The seed must not be negative, and {seed} is.")
    painter = find_material(recipe.material).painter
    factor = 2 if max(width, height) <= SUPERSAMPLED else 1
    canvas = Canvas(recipe, width * factor, height * factor, seed, (offset[0] * factor, offset[1] * factor))
    surface = painter(canvas)
    weather(surface, canvas)
    return assemble(surface, factor)
