"""Captioned training pictures without end: a picture, a caption and labels for each call, and nothing kept between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .captions import caption
from .chance import one_of, random_recipe
from .colours import COLOURS
from .grammar import parse
from .maps import Maps, shade, to_uint8
from .recipe import Recipe
from .registry import find_material, materials
from .render import render
from .variety import varied

ALIGNED = 0.5
"""How many of those that nobody wrote keep the colours of their own relief."""

PLACE = (3, 5)
"""Where layouts lie that always lie at the same place: rolled by so many sixteenths of the tile, down and right. Unrolled, the joints of
walls and tiles lie on the border, where the steps between pixels are then a quarter larger than inside; here they are as large.
"""


@dataclass(frozen=True)
class Sample:
    """One training pair, with the maps behind the picture where they were asked for."""

    image: NDArray[np.uint8]
    """(size, size, 3), the lit picture."""
    caption: str
    labels: Mapping[str, str]
    """`material` and `colour`, as named by the source; `layout`, its number, where there are only so many."""
    roll: tuple[int, int] = (0, 0)
    """By how many rows and columns it was rolled over the torus."""
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(size, size) each: `height` as a share of the side, `roughness`, `metallic`."""


@dataclass(frozen=True)
class ProceduralSource:
    """The training source of seamless materials. It holds no state, so any number of processes may share the work."""

    layouts: int | None = None
    """How many seeds a recipe is rendered with, always rolled alike; None: any seed, rolled by a random offset of the torus."""
    variety: float = 0.0
    """The share of samples with maps that are made of two materials, or of one that is turned and steeper or flatter."""
    name: ClassVar[str] = "procedural"

    @property
    def materials(self) -> tuple[str, ...]:
        """Every material that can be sampled."""
        return tuple(materials())

    @property
    def colours(self) -> tuple[str, ...]:
        """Every colour that can be sampled."""
        return COLOURS

    def sample(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> Sample:
        """A random recipe, of one of `materials` if given, rendered at size x size; everything is drawn from `rng`."""
        recipe, maps, layout = self._rendered(rng, size, materials)
        return self._shown(rng, recipe, maps, layout)

    def sample_maps(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> Sample:
        """The same sample with its maps; where there is variety, some have a relief, or colours, that their recipe has not."""
        recipe, maps, layout = self._rendered(rng, size, materials)
        if self.variety and rng.random() < self.variety:
            other = maps if rng.random() < ALIGNED else self._rendered(rng, size, materials)[1]
            maps = varied(other, maps, rng)
        shown = self._shown(rng, recipe, maps, layout)
        rows, columns = shown.roll
        planes = {"height": maps.height * np.float32(maps.relief), "roughness": maps.roughness, "metallic": maps.metallic}
        return replace(shown, maps={name: np.roll(plane, (rows, columns), (0, 1)) for name, plane in planes.items()})

    def picture(self, prompt: str, size: int, seed: int) -> NDArray[np.uint8]:
        """What `prompt` asks for at size x size, uint8 (size, size, 3); `seed` chooses what it leaves open."""
        return to_uint8(shade(render(parse(prompt, seed).recipe, size, size, seed)))

    def with_layouts(self, count: int) -> ProceduralSource:
        """The same source with `count` layouts of every recipe, in any colours and wear, always at the same place of the tile."""
        return replace(self, layouts=count)

    def with_variety(self, share: float) -> ProceduralSource:
        """The same source, so many of whose samples with maps are materials that nobody wrote."""
        return replace(self, variety=share)

    def _rendered(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None) -> tuple[Recipe, Maps, int]:
        recipe = random_recipe(find_material(one_of(rng, materials or self.materials)), rng)
        layout = int(rng.integers(self.layouts or 1 << 62))
        return recipe, render(recipe, size, size, layout), layout

    def _shown(self, rng: np.random.Generator, recipe: Recipe, maps: Maps, layout: int) -> Sample:
        size = maps.height.shape[0]
        shifts = [size * part // 16 for part in PLACE] if self.layouts else rng.integers(size, size=2)
        rows, columns = (int(shift) for shift in shifts)
        image = np.roll(to_uint8(shade(maps)), (rows, columns), (0, 1))
        labels = {"material": recipe.material, "colour": recipe.colour} | ({"layout": str(layout)} if self.layouts else {})
        return Sample(image, caption(recipe, rng), labels, roll=(rows, columns))
