"""One edit as pixels: what of the document the model is shown, and how what it made goes back. Pure functions of their arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.documents import Document
from gesso.media.images import Picture, quantised
from gesso.media.working import enlarged, from_srgb, resized, to_depth, to_float, to_srgb
from gesso.model.card import ModelCard
from gesso.plugin import JobContext
from gesso_plugins.edit.border import BorderError, Seam
from gesso_plugins.edit.boxes import Box, bounds
from gesso_plugins.edit.composite import composite
from gesso_plugins.edit.geometry import Geometry, Wishes, plan
from gesso_plugins.edit.masks import faded
from gesso_plugins.edit.params import EditParams
from gesso_plugins.edit.shade import shade_of

Pixels = npt.NDArray[np.float32]
RING = 24
"""Pixels around what may be redone at which a result's border is looked at; what lies further out has no say in it."""


@dataclass(frozen=True)
class Shown:
    """What a model is given: a picture (h, w, 3) in sRGB, 0..1, and its mask (h, w, 1)."""

    picture: Pixels
    mask: Pixels


@dataclass(frozen=True)
class Region:
    """What an edit works on. ``seen``: the context in sRGB (h, w, 3), 0..1; ``change``: how much of each pixel
    the model may redo, ``cover``: how much of the result it takes (h, w).
    """

    document: Document
    geometry: Geometry
    seen: Pixels
    change: Pixels
    cover: Pixels

    def shown(self, size: tuple[int, int], picture: Pixels | None = None) -> Shown:
        """The context (or another picture of it) and its mask, at a size that the model makes."""
        return Shown(resized(self.seen if picture is None else picture, size), resized(self.change[..., None], size))


@dataclass(frozen=True)
class Finished:
    """A result: the document's own pixels of ``box`` or of the whole, and how far off its border was before and after. ``box`` holds every
    pixel that may have changed; ``mended`` is the whole context as the model and the membrane left it.
    """

    pixels: npt.NDArray[Any]
    box: Box
    mended: Pixels
    before: BorderError
    after: BorderError


def prepare(image: Picture, mask: Picture | None, params: EditParams, card: ModelCard) -> Region:
    """Read both files and plan the edit."""
    return planned(documents.read(image), None if mask is None else documents.read(mask, "mask"), params, card)


def planned(document: Document, mask: Document | None, params: EditParams, card: ModelCard) -> Region:
    """Grow the canvas, plan the edit and cut the context out."""
    sides = ((params.top, params.bottom), (params.left, params.right))
    shade = shade_of(document, mask, sides, invert=params.invert)
    if any(map(any, sides)):
        grown = np.pad(document.pixels, (*sides, (0, 0)), mode="edge")
        document = replace(document, pixels=grown)
    region = shade.bounds()
    if region is None and mask is None:
        what = "No mask was given, and nothing of the picture is transparent: nothing would be edited."
        raise InvalidRequest(what, field="mask", hint="Give a mask that is white where the picture is to change, or sides to grow by.")
    if region is None:
        what = "The mask is black all over: nothing would be edited."
        raise InvalidRequest(what, field="mask", hint="Paint white what is to change, or invert the mask.")
    width, height = document.size
    wishes = Wishes(params.grow, params.feather, params.blend, params.padding)
    geometry = plan(region, Box(0, 0, width, height), card, params.strength, wishes)
    change, cover = faded(shade.within(geometry.context), geometry.margins)
    seen = to_srgb(document, document.pixels[geometry.context.slices])
    return Region(document, geometry, seen, change, cover)


def _mended(seen: Pixels, change: Pixels, made: npt.NDArray[Any], match_border: bool) -> tuple[Pixels, Seam]:
    """What the model made (any size, sRGB) at the size of what it was to see (h, w, 3), its border mended."""
    height, width = change.shape
    place = bounds(change)
    assert place is not None
    near = place.padded(RING).clipped(Box(0, 0, width, height))
    result = resized(to_float(made), (width, height))
    seam = Seam(seen[near.slices], result[near.slices], change[near.slices])
    if match_border:
        result[place.slices] += seam.membrane(Box(place.x - near.x, place.y - near.y, place.width, place.height).slices)
    return result, seam


def merged(region: Region, mended: Pixels) -> Pixels:
    """The context with a result in it, for a model to go on from."""
    inner = bounds(region.cover)
    assert inner is not None
    return _laid(region, inner, mended[inner.slices])


def _laid(region: Region, inner: Box, mended: Pixels) -> Pixels:
    """The context with a part of a result in it."""
    result, cover = region.seen.copy(), region.cover[inner.slices][..., None]
    result[inner.slices] += (mended - region.seen[inner.slices]) * cover
    return result


def face(region: Region, mended: Pixels) -> npt.NDArray[np.uint8]:
    """The same as a picture to look at."""
    return quantised(merged(region, mended), 8)


def halfway(region: Region, shown: Shown, made: npt.NDArray[Any], params: EditParams) -> Pixels:
    """The same of a first pass, which is mended at the size at which it was made of what was shown."""
    context, inner = region.geometry.context, bounds(region.cover)
    assert inner is not None
    small, _ = _mended(shown.picture, shown.mask[..., 0], made, params.match_border)
    part = (inner.x, inner.y, inner.right, inner.bottom)
    return _laid(region, inner, enlarged(small, (context.width, context.height), part))


def finish(region: Region, made: npt.NDArray[Any], params: EditParams) -> Finished:
    """What the model made back in its place, in the document's own numbers."""
    context, inner = region.geometry.context, bounds(region.cover)
    assert inner is not None
    result, seam = _mended(region.seen, region.change, made, params.match_border)
    before, after = seam.error(mended=False), seam.error(mended=params.match_border)
    box = Box(context.x + inner.x, context.y + inner.y, inner.width, inner.height)
    shown = region.cover[inner.slices]
    if params.returns == "layer":
        return Finished(_layer(region.document, result[inner.slices], shown), box, result, before, after)
    below = region.document.pixels[box.slices]
    profile = region.document.profile
    curve = profile if below.shape[2] > 2 else profile.curves[0]
    laid = composite(below, from_srgb(region.document, result[inner.slices]), shown, curve, associated=region.document.associated)
    if params.returns == "region":
        return Finished(laid, box, result, before, after)
    whole = region.document.pixels.copy()
    whole[box.slices] = laid
    return Finished(whole, box, result, before, after)


def warn_of_tables(ctx: JobContext, document: Document) -> None:
    """Say where a profile allows eight bits only."""
    if document.profile.matrix is None:
        ctx.warn(f"The colour profile {document.profile.name!r} is a table: what was made went through 8 bits.")


def _layer(document: Document, result: Pixels, mask: Pixels) -> npt.NDArray[Any]:
    """The result alone, as the document encodes it, with the mask for its alpha."""
    colours = from_srgb(document, result)
    kept = colours[..., : 1 if colours.shape[2] < 3 else 3]
    return to_depth(np.concatenate([kept, mask[..., None]], 2), document.pixels.dtype)
