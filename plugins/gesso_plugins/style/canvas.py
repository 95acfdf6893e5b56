"""The picture that is restyled, as a document and at the size at which it is painted; and the way back into its own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.documents import Document
from gesso.media.images import Picture
from gesso.media.working import brightness, from_srgb, multiplied, resized, to_depth, to_float, to_srgb
from gesso_plugins.style.colour import keeping

Pixels = npt.NDArray[np.float32]
MULTIPLE = 8
SMALLEST = 16


@dataclass(frozen=True)
class Canvas:
    """``seen``: the picture at its painted size (h, w, 3), sRGB in 0..1. ``regions`` (h, w): where each style goes; ``mask`` (H, W): where
    any does, at the document's size. Without masks both are empty.
    """

    document: Document
    seen: Pixels
    tile: str
    regions: tuple[Pixels, ...] = ()
    mask: Pixels | None = None
    own: Pixels = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))


def prepare(image: Picture, masks: Sequence[Picture], longest: int, tile: str) -> Canvas:
    """Read the picture and its masks."""
    document = documents.read(image)
    width, height = document.size
    if min(width, height) < SMALLEST:
        said = f"The image has {width} x {height} pixels; a style needs {SMALLEST} a side to show."
        raise InvalidRequest(said, field="image", hint="Choose a larger picture.")
    own = to_srgb(document, document.pixels)
    size = painted_size(width, height, longest)
    regions = [_region(mask, document) for mask in masks]
    whole = np.clip(np.sum(regions, 0), 0, 1).astype(np.float32) if regions else None
    small = tuple(resized(region[..., None], size, tile)[..., 0] for region in regions)
    return Canvas(document, resized(own, size, tile), tile, small, whole, own)


def read_style(data: Picture, longest: int) -> Pixels:
    """A picture whose look is taken, (h, w, 3), no larger than the other is painted."""
    document = documents.read(data, "style")
    width, height = document.size
    scale = min(1.0, longest / max(width, height))
    size = (max(SMALLEST, round(width * scale)), max(SMALLEST, round(height * scale)))
    return resized(to_srgb(document, document.pixels), size)


def painted_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size of whole multiples nearest to the picture's own that has no longer side than that."""
    scale = min(1.0, longest / max(width, height))
    across, down = (max(SMALLEST, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height))
    return across, down


def finish(canvas: Canvas, made: Pixels, kept: str) -> npt.NDArray[Any]:
    """The document's pixels with what was made (any size, sRGB in 0..1): where no mask is, the same bytes."""
    document = canvas.document
    result = keeping(resized(made, document.size, canvas.tile), canvas.own, kept)
    encoded = from_srgb(document, result)
    if document.pixels.shape[2] in (2, 4):
        encoded[..., -1] = to_float(document.pixels[..., -1])
    if document.associated:
        encoded = multiplied(encoded)
    if canvas.mask is None:
        return to_depth(encoded, document.pixels.dtype)
    share = canvas.mask[..., None]
    mixed = to_depth(to_float(document.pixels) * (1 - share) + encoded * share, document.pixels.dtype)
    return np.where(share > 0, mixed, document.pixels)


def tensor(pixels: Pixels) -> torch.Tensor:
    """(H, W) or (H, W, 3) to (1, C, H, W)."""
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))[None]


def array(picture: torch.Tensor) -> Pixels:
    """(1, 3, H, W) to (H, W, 3)."""
    return np.ascontiguousarray(picture[0].permute(1, 2, 0).float().cpu().numpy())


def _region(mask: Picture, document: Document) -> Pixels:
    read = documents.read(mask, "mask")
    if read.size != document.size:
        raise InvalidRequest(
            f"A mask has {read.size[0]} x {read.size[1]} pixels, and the image {document.size[0]} x {document.size[1]}.",
            field="mask",
            hint="Make the masks as large as the image.",
        )
    region = brightness(read)
    if not region.any():
        raise InvalidRequest("A mask is black all over: its style would go nowhere.", field="mask", hint="Paint white where it is to go.")
    return region
