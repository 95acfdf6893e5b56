"""One edit as pixels: what of the document the model is shown, and how what it made goes back. Pure functions of their arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.documents import Document
from gesso.media.images import quantised
from gesso.media.png import write as write_png
from gesso.media.profile import through_littlecms
from gesso.model.card import ModelCard
from gesso_plugins.edit.border import BorderError, border_error, membrane
from gesso_plugins.edit.boxes import Box, bounds
from gesso_plugins.edit.composite import composite, to_float
from gesso_plugins.edit.geometry import Geometry, Wishes, plan
from gesso_plugins.edit.masks import change_mask, composite_mask
from gesso_plugins.edit.params import EditParams

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """What an edit works on. ``seen``: the context in sRGB (h, w, 3), 0..1; ``mask``: the user's, ``change``: widened and faded (h, w)."""

    document: Document
    geometry: Geometry
    seen: Pixels
    mask: Pixels
    change: Pixels

    def shown(self, size: tuple[int, int], picture: Pixels | None = None) -> tuple[bytes, bytes]:
        """PNG files of the context (or of another picture of it) and of its mask, at a size that the model makes.

        The mask is nowhere quite black: where it is, `generate` hands the picture itself back, and how far the model's own pixels are off
        there is what the border is mended by.
        """
        pixels = resized(self.seen if picture is None else picture, size)
        mask = np.maximum(quantised(resized(self.change[..., None], size)[..., 0], 8), 1)
        return write_png(quantised(pixels, 8), {}), write_png(mask, {})


@dataclass(frozen=True)
class Finished:
    """A result: the document's own pixels of the context box or of the whole, and how far off its border was before and after."""

    pixels: npt.NDArray[Any]
    merged: Pixels
    before: BorderError
    after: BorderError


def prepare(image: bytes, mask: bytes | None, params: EditParams, card: ModelCard) -> Region:
    """Read both files, grow the canvas, plan the edit and cut the context out."""
    document = documents.read(image)
    whole = _mask(document, mask)
    sides = ((params.top, params.bottom), (params.left, params.right))
    if any(map(any, sides)):
        grown = np.pad(document.pixels, (*sides, (0, 0)), mode="edge")
        document = Document(grown, document.profile, document.kind)
        whole = np.pad(whole, sides, constant_values=1.0)
    whole = 1 - whole if params.invert else whole
    region = bounds(whole)
    if region is None:
        raise InvalidRequest(
            "The mask is black all over: nothing would be edited.", field="mask", hint="Paint white what is to change, or invert the mask."
        )
    width, height = document.size
    wishes = Wishes(params.grow, params.feather, params.blend, params.padding)
    geometry = plan(region, Box(0, 0, width, height), card, params.strength, wishes)
    cut = geometry.context.slices
    local = np.ascontiguousarray(whole[cut])
    return Region(document, geometry, to_srgb(document, document.pixels[cut]), local, change_mask(local, geometry.margins))


def finish(region: Region, made: npt.NDArray[np.uint8], params: EditParams) -> Finished:
    """What the model made (any size, sRGB bytes) back in its place, in the document's own numbers."""
    context = region.geometry.context
    result = resized(made.astype(np.float32) / np.float32(255), (context.width, context.height))
    before = border_error(region.seen, result, region.change)
    if params.match_border:
        result = result + membrane(region.seen, result, region.change)
    after = border_error(region.seen, result, region.change)
    mask = composite_mask(region.mask, region.geometry.margins)
    below = region.document.pixels[context.slices]
    laid = composite(below, from_srgb(region.document, result), mask, region.document.profile)
    merged = region.seen * (1 - mask[..., None]) + result * mask[..., None]
    if params.returns == "region":
        return Finished(laid, merged, before, after)
    whole = region.document.pixels.copy()
    whole[context.slices] = laid
    return Finished(whole, merged, before, after)


def to_srgb(document: Document, pixels: npt.NDArray[Any]) -> Pixels:
    """Some of a document's pixels as a model sees them: sRGB (h, w, 3), 0..1, over grey where they are transparent."""
    values = to_float(pixels)
    colours = values[..., :3] if values.shape[2] > 2 else np.repeat(values[..., :1], 3, 2)
    if document.profile.matrix is None:
        assert document.profile.icc is not None
        converted = through_littlecms(quantised(colours, 8), document.profile.icc, back=False).astype(np.float32) / np.float32(255)
    else:
        converted = document.profile.to_srgb(colours)
    converted = np.asarray(np.clip(converted, 0, 1), np.float32)
    if values.shape[2] in (2, 4):
        alpha = np.clip(values[..., -1:], 0, 1)
        converted = converted * alpha + np.float32(0.5) * (1 - alpha)
    return np.ascontiguousarray(converted, np.float32)


def from_srgb(document: Document, values: Pixels) -> Pixels:
    """A result as the document encodes colours: as many channels, opaque where it has an alpha."""
    if document.profile.matrix is None:
        assert document.profile.icc is not None
        made = through_littlecms(quantised(values, 8), document.profile.icc, back=True).astype(np.float32) / np.float32(255)
    else:
        made = document.profile.from_srgb(values)
    channels = document.pixels.shape[2]
    if channels < 3:
        made = made @ np.array([[0.2126], [0.7152], [0.0722]], np.float32)
    if channels in (2, 4):
        made = np.concatenate([made, np.ones_like(made[..., :1])], 2)
    return np.asarray(made, np.float32)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """(h, w, C) at another size (width, height), by Lanczos, without leaving 0..1 where it did not before."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., c])).resize(size, Image.Resampling.LANCZOS))
        for c in range(pixels.shape[2])
    ]
    return np.asarray(np.clip(np.stack(planes, 2), 0, 1), np.float32)


def _mask(document: Document, mask: bytes | None) -> Pixels:
    """(H, W) in 0..1: the mask's brightness, or how transparent the document is."""
    width, height = document.size
    if mask is None:
        if document.pixels.shape[2] not in (2, 4):
            return np.zeros((height, width), np.float32)
        return np.asarray(1 - np.clip(to_float(document.pixels[..., -1]), 0, 1), np.float32)
    read = documents.read(mask, "mask")
    if read.size != document.size:
        raise InvalidRequest(
            f"The mask has {read.size[0]} x {read.size[1]} pixels, and the image {width} x {height}.",
            field="mask",
            hint="Make the mask as large as the image.",
        )
    values = to_float(read.pixels)
    grey = values[..., :3] @ np.array([0.2126, 0.7152, 0.0722], np.float32) if values.shape[2] > 2 else values[..., 0]
    shown = grey * values[..., -1] if values.shape[2] in (2, 4) else grey
    return np.asarray(np.clip(shown, 0, 1), np.float32)
