"""A picture that is redone as a whole: shown to a model at a size that it makes, and brought back in the picture's own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.media import documents
from gesso.media.documents import Document
from gesso.media.images import Picture
from gesso.media.working import Pixels, from_srgb, resized, straight, to_depth, to_float, to_srgb
from gesso.model.card import ModelCard
from gesso_plugins.edit.boxes import Box
from gesso_plugins.edit.geometry import sizes


@dataclass(frozen=True)
class Whole:
    """``seen``: the picture as a model sees it (h, w, 3), at a size that it makes. ``size``: width and height of the result; ``tile``: the
    axes along which it wraps.
    """

    document: Document
    seen: Pixels
    size: tuple[int, int]
    tile: str


def shown(image: Picture, card: ModelCard, tile: str = "none") -> Whole:
    """Read a picture for a model. The result is as large as the picture, but no larger than the model can make."""
    document = straight(documents.read(image))
    width, height = document.size
    made = sizes(Box(0, 0, width, height), card)[1]
    size = (width, height) if max(width, height) <= card.limits.largest else made
    return Whole(document, resized(to_srgb(document, document.pixels), made, tile), size, tile)


def brought_back(whole: Whole, made: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the model made (any size, sRGB) as pixels of the document's depth and channels; it keeps its transparency."""
    values = from_srgb(whole.document, resized(to_float(made), whole.size, whole.tile))
    if values.shape[2] in (2, 4):
        alpha = np.clip(to_float(whole.document.pixels[..., -1:]), 0, 1)
        values = np.concatenate([values[..., :-1], resized(alpha, whole.size, whole.tile)], 2)
    return to_depth(values, whole.document.pixels.dtype)
