"""A source of two plain materials in three colours, for the tests of what is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200)}


@dataclass(frozen=True)
class Picture:
    image: npt.NDArray[np.uint8]
    caption: str
    labels: Mapping[str, str]


class Stripes:
    """Rows and columns."""

    name = "stripes"
    materials = ("rows", "columns")
    colours = tuple(COLOURS)

    def sample(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> Picture:
        material = str(rng.choice(list(materials or self.materials)))
        colour = str(rng.choice(list(COLOURS)))
        wave = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(size) / size + rng.uniform(0, 6))
        plane = np.broadcast_to(wave[:, None] if material == "rows" else wave[None, :], (size, size))
        image = (plane[..., None] * np.array(COLOURS[colour])).astype(np.uint8)
        return Picture(image, f"{colour} {material}", {"material": material, "colour": colour})
