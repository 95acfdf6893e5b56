"""The fine canvas a painter works on: tile coordinates, seeded noise and cells, the colours of the recipe. It owns no pixels."""

from __future__ import annotations

import math

import numpy as np

from .arrays import Field, Ids, Rgb, float32, per_cell
from .cells import Cells, jittered_points, worley
from .colours import colour_value, jittered, shades
from .noise import Spectrum, spectral_noise
from .recipe import SCALES, Recipe


class Canvas:
    """Coordinates and randomness for one render.

    `u` (1, W) runs right and `v` (H, 1) runs down, both in tiles: 0..1, or beyond 1 where the canvas is offset, so a painter must wrap
    whatever it derives from them. Counts and widths are given per unit, the tile's shorter side.
    """

    def __init__(self, recipe: Recipe, width: int, height: int, seed: int, offset: tuple[int, int] = (0, 0)) -> None:
        self.recipe = recipe
        self.width, self.height = width, height
        self.offset = offset
        self.aspect = (width / min(width, height), height / min(width, height))
        self.u = float32((np.arange(width) + offset[0] + 0.5) / width)[None, :]
        self.v = float32((np.arange(height) + offset[1] + 0.5) / height)[:, None]
        layout, paint = np.random.SeedSequence(seed).spawn(2)
        self.rng = np.random.Generator(np.random.PCG64(layout))
        """Layout: draws must not depend on the size of the canvas or on the colours."""
        self.paint = np.random.Generator(np.random.PCG64(paint))
        """Colour: a stream of its own, so that the same seed in another colour keeps its layout."""
        self.main: Rgb = jittered(colour_value(recipe.colour, recipe.tone), self.paint)
        second = (recipe.second, recipe.second_tone) if recipe.second else (recipe.colour, recipe.tone)
        self.second: Rgb = jittered(colour_value(*second), self.paint)

    # -- numbers ------------------------------------------------------------------------------------------------------------------

    def by_scale(self, small: int, medium: int, large: int) -> int:
        """The one of three counts that the recipe's scale names."""
        return (small, medium, large)[SCALES.index(self.recipe.scale)]

    def counts(self, per_unit: float, stretch: float = 1.0, even_rows: bool = False) -> tuple[int, int]:
        """Whole numbers of columns and rows for about `per_unit` rows a unit and cells `stretch` times as wide as high."""
        columns = max(1, round(per_unit * self.aspect[0] / stretch))
        rows = max(1, round(per_unit * self.aspect[1]))
        if even_rows:
            rows = max(2, 2 * round(per_unit * self.aspect[1] / 2))
        return columns, rows

    def uniform(self, low: float, high: float) -> float:
        """One random number of the layout."""
        return float(self.rng.uniform(low, high))

    def choice(self, options: tuple[int, ...]) -> int:
        """One of a few whole numbers."""
        return options[int(self.rng.integers(len(options)))]

    def table(self, count: int, low: float = 0.0, high: float = 1.0) -> Field:
        """One random number for each of `count` cells."""
        return float32(self.rng.uniform(low, high, count))

    def spread(self, ident: Ids, count: int, low: float = 0.0, high: float = 1.0) -> Field:
        """One random number a cell, spread over the pixels."""
        return per_cell(self.table(count, low, high), ident)

    def shaded(self, colour: Rgb, ident: Ids, count: int, spread: float, hue: float = 0.03) -> Field:
        """One shade of a colour a cell, spread over the pixels, (3, H, W)."""
        return per_cell(shades(colour, self.paint, count, spread, hue), ident)

    # -- fields -------------------------------------------------------------------------------------------------------------------

    def noise(self, low: float = 2.0, slope: float = 1.6, high: float = 512.0, stretch: float = 1.0, angle: float = 0.0) -> Field:
        """Periodic noise (H, W), mean 0, deviation about 1; see `Spectrum` for the arguments."""
        seed = int(self.rng.integers(1 << 62))
        field = spectral_noise(seed, Spectrum(low, slope, high, stretch, angle), self.width, self.height, self.aspect)
        if self.offset != (0, 0):
            field = np.roll(field, (-self.offset[1], -self.offset[0]), (0, 1))
        return field

    def push(self, amount: float, low: float = 3.0, slope: float = 2.0) -> tuple[Field, Field]:
        """Noise to push coordinates about with, right and down, in tiles; its deviation is `amount` units."""
        right, down = (self.noise(low, slope, high=low * 6.0) for _ in range(2))
        return right * np.float32(amount / self.aspect[0]), down * np.float32(amount / self.aspect[1])

    def warped(self, amount: float, low: float = 3.0, slope: float = 2.0) -> tuple[Field, Field]:
        """The coordinates pushed about by noise with a deviation of `amount` units."""
        right, down = self.push(amount, low, slope)
        return self.u + right, self.v + down

    def cells(
        self,
        per_unit: float,
        jitter: float = 0.8,
        *,
        stretch: float = 1.0,
        staggered: bool = False,
        push: tuple[Field, Field] | None = None,
    ) -> Cells:
        """A cellular pattern with about `per_unit` rows of cells a unit, its coordinates moved by `push` (in tiles) if given."""
        columns, rows = self.counts(per_unit, stretch, even_rows=staggered)
        spacing = (self.aspect[0] / columns * per_unit, self.aspect[1] / rows * per_unit)
        points = jittered_points(self.rng, columns, rows, jitter, staggered, spacing)
        moved = None if push is None else (push[0] * np.float32(columns), push[1] * np.float32(rows))
        return worley(points, self.u, self.v, moved)

    def turns(self, along: float) -> int:
        """A whole number of repeats along x nearest to `along` a unit, for waves that must close."""
        return max(1, math.floor(along * self.aspect[0] + 0.5))
