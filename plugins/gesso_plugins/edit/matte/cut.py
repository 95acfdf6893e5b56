"""A document without its background: its own colours where it is opaque, the foreground's alone along the edge, nothing elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.documents import Document
from gesso.media.images import Picture
from gesso.media.working import straight, to_depth, to_float
from gesso_plugins.edit.boxes import Box, bounds
from gesso_plugins.edit.cutout_params import CutoutParams
from gesso_plugins.edit.matte.closed_form import Plane, solved
from gesso_plugins.edit.matte.foreground import estimated
from gesso_plugins.edit.matte.trimap import default_band, trimap
from gesso_plugins.edit.shade import shade_of

OPAQUE, CLEAR = 1 - 1 / 512, 1 / 512
"""Half a step of 8 bits from 1 and from 0, the matte is taken for these: what it leaves of a sure pixel is rounding."""


@dataclass(frozen=True)
class Cut:
    """``pixels``: the result in the document's depth; ``box``: what is not quite transparent; ``unknown``: how many pixels were solved."""

    document: Document
    pixels: npt.NDArray[Any]
    box: Box | None
    band: int
    unknown: int


def cut(image: Picture, mask: Picture | None, params: CutoutParams) -> Cut:
    """Read both files, find the matte in the band around the mask's edge, and take the background's colours out of the edge."""
    document = straight(documents.read(image))
    rough, box = _rough(document, None if mask is None else documents.read(mask, "mask"), params)
    band = default_band(box) if params.band is None else params.band
    width, height = document.size
    near = box.padded(2 * band + 2).clipped(Box(0, 0, width, height))
    known = trimap(rough.within(near), band)
    light, largest = _light(document, near)
    seen = np.repeat(light, 3, 2) if light.shape[2] == 1 else light
    matte = solved(seen, known.matte, known.unknown)
    matte = np.where(matte > OPAQUE, 1, np.where(matte < CLEAR, 0, matte)).astype(np.float32)
    if params.returns == "matte":
        pixels = _laid(np.zeros((height, width, 1), document.pixels.dtype), near, to_depth(matte[..., None], document.pixels.dtype))
    else:
        colours = (estimated(seen, matte) if ((matte > 0) & (matte < 1)).any() else seen) * largest
        pixels = _without_background(document, near, matte, colours[..., : light.shape[2]])
    left = bounds(matte)
    shown = None if left is None else Box(near.x + left.x, near.y + left.y, left.width, left.height)
    return Cut(document, pixels, shown, band, int(known.unknown.sum()))


def _rough(document: Document, mask: Document | None, params: CutoutParams) -> tuple[Any, Box]:
    """What is to be kept, roughly, and the box around it."""
    shade = shade_of(document, mask, ((0, 0), (0, 0)), invert=params.invert if mask is not None else not params.invert)
    box = shade.bounds()
    if box is None:
        raise InvalidRequest(
            "The mask is black all over: nothing would be left.", field="mask", hint="Paint white what is to stay, or invert the mask."
        )
    if box == Box(0, 0, *document.size) and (shade.within(box) >= 1).all():
        if mask is None:
            said = "No mask was given, and nothing of the picture is transparent: its background is not known."
            raise InvalidRequest(said, field="mask", hint="Give a mask that is white, roughly, where the picture is to stay.")
        raise InvalidRequest(
            "The mask is white all over: there is no background.", field="mask", hint="Leave black in the mask what is to go, or invert it."
        )
    return shade, box


def _light(document: Document, box: Box) -> tuple[Plane, float]:
    """Colours of a part in linear light, without alpha, divided by the largest where that is above 1; and that divisor."""
    values = to_float(document.pixels[box.slices])
    inks = 3 if values.shape[2] > 2 else 1
    curve = document.profile if inks == 3 else document.profile.curves[0]
    light = np.maximum(np.asarray(curve.to_linear(values[..., :inks]), np.float32), 0)
    largest = max(1.0, float(light.max()))
    return np.asarray(light / np.float32(largest), np.float32), largest


def _without_background(document: Document, box: Box, matte: Plane, light: Plane) -> npt.NDArray[Any]:
    """The document with the matte for its alpha (times the one it had), and the foreground's light where the matte is not 1."""
    below = document.pixels[box.slices]
    inks = light.shape[2]
    curve = document.profile if inks == 3 else document.profile.curves[0]
    colours = to_depth(np.asarray(curve.from_linear(light), np.float32), below.dtype)
    colours = np.where(matte[..., None] >= 1, below[..., :inks], colours)
    alpha = matte if below.shape[2] == inks else matte * np.clip(to_float(below[..., -1]), 0, 1)
    made = np.concatenate([colours, to_depth(alpha[..., None], below.dtype)], 2)
    return _laid(np.zeros((*document.pixels.shape[:2], inks + 1), below.dtype), box, made)


def _laid(whole: npt.NDArray[Any], box: Box, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
    whole[box.slices] = part
    return whole
