"""A picture that becomes a texture: read in sRGB, made to wrap around, and measured before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.images import Picture
from gesso.media.seam import seams
from gesso.media.working import resized, to_float, to_srgb
from gesso_plugins.texture import quilting
from gesso_plugins.texture.params import Repair
from gesso_plugins.texture.surroundings import wraps

Plane = npt.NDArray[np.float32]
Seams = dict[str, dict[str, float]]
SMALLEST = 16
VISIBLE = 1.3
"""A border whose step is so many times the mean of those inside shows as a seam."""


@dataclass(frozen=True)
class Source:
    """A picture (H, W, 3) in 0..1, sRGB; the depth that its file had; and how its borders fit as it came."""

    colour: Plane
    bits: int
    seams: Seams

    def shows(self, tile: str) -> bool:
        """Whether a seam shows along an axis of ``tile``."""
        return any(self.seams[axis]["ratio"] > VISIBLE for axis in ("x", "y") if wraps(tile, axis))


def read(data: Picture, width: int | None, height: int | None, tile: str) -> Source:
    """The picture in ``data``, at another size where one is given."""
    document = documents.read(data)
    own = document.size
    if min(own) < SMALLEST:
        raise InvalidRequest(
            f"The image has {own[0]} x {own[1]} pixels; a texture needs {SMALLEST} a side.", field="image", hint="Choose a larger picture."
        )
    colour = to_srgb(document, document.pixels)
    found = seams(colour, tile)
    size = (width or (own[0] if height is None else round(own[0] * height / own[1])), 0)
    size = (max(SMALLEST, size[0]), max(SMALLEST, height or round(own[1] * size[0] / own[0])))
    clean = tile if not any(fit["ratio"] > VISIBLE for fit in found.values()) else "none"
    return Source(resized(colour, size, clean), 8 if document.pixels.dtype == np.uint8 else 16, found)


def blended(source: Source, tile: str, repair: Repair) -> tuple[Plane, str]:
    """The picture that wraps, and what was done to it: "none" or "blend"."""
    if tile == "none" or repair == "none" or (repair == "auto" and not source.shows(tile)):
        return source.colour, "none"
    return quilting.repaired(source.colour, tile), "blend"


def crossed(picture: Plane, tile: str) -> tuple[Plane, Plane]:
    """The picture rolled by half along the axes of ``tile``, and a mask (H, W) of the cross where its border now is."""
    height, width = picture.shape[:2]
    shift = (height // 2 if wraps(tile, "y") else 0, width // 2 if wraps(tile, "x") else 0)
    mask = np.zeros((height, width), np.float32)
    half = max(4, min(height, width) // 10)
    if wraps(tile, "x"):
        mask[:, shift[1] - half : shift[1] + half] = 1
    if wraps(tile, "y"):
        mask[shift[0] - half : shift[0] + half] = 1
    for number, axis in enumerate(("y", "x")):
        mask = ndimage.gaussian_filter1d(mask, half / 3, number, mode="wrap" if wraps(tile, axis) else "nearest")
    return np.roll(picture, shift, (0, 1)), mask


def shown(picture: Plane, mask: Plane, size: tuple[int, int], tile: str) -> tuple[Plane, Plane]:
    """A picture and a mask at a size that a model makes."""
    return resized(picture, size, tile), resized(mask[..., None], size, tile)


def laid_over(picture: Plane, made: npt.NDArray[Any], mask: Plane, tile: str) -> Plane:
    """What a model made of the rolled picture, by the mask over it, rolled back."""
    height, width = picture.shape[:2]
    share = mask[..., None]
    result = picture * (1 - share) + resized(to_float(made), (width, height), tile) * share
    shift = (-(height // 2) if wraps(tile, "y") else 0, -(width // 2) if wraps(tile, "x") else 0)
    return np.roll(result, shift, (0, 1))
