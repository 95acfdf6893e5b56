"""What a mask says of a canvas, without turning the canvas into floats: where it says anything, and how much within a box."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.errors import InvalidRequest
from gesso.media.documents import Document
from gesso.media.working import LARGEST, brightness
from gesso_plugins.edit.boxes import Box, box_of

Pixels = npt.NDArray[np.float32]
Sides = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Shade:
    """``source``: the mask's own document, or the alpha of a picture; it begins ``left`` and ``top`` pixels inside a canvas of ``width`` x
    ``height``. ``negative``: black is what is meant. ``outside``: whether what lies around the source is meant.
    """

    source: Document
    left: int
    top: int
    width: int
    height: int
    negative: bool
    outside: bool

    def bounds(self) -> Box | None:
        """The smallest box around everything that is not black; None where there is nothing."""
        said = self._said()
        rows, columns = np.zeros(self.height, np.bool_), np.zeros(self.width, np.bool_)
        inner = Box(self.left, self.top, *self.source.size)
        down, across = inner.slices
        rows[down], columns[across] = said.any(1), said.any(0)
        if self.outside and inner != Box(0, 0, self.width, self.height):
            rows[: inner.y], rows[inner.bottom :], columns[: inner.x], columns[inner.right :] = (True,) * 4
            rows |= inner.width < self.width
            columns |= inner.height < self.height
        return box_of(rows, columns)

    def within(self, box: Box) -> Pixels:
        """In 0..1."""
        found = np.full((box.height, box.width), 1.0 if self.outside else 0.0, np.float32)
        here = Box(self.left, self.top, *self.source.size).clipped(box)
        if here.area:
            rows, columns = Box(here.x - self.left, here.y - self.top, here.width, here.height).slices
            shown = brightness(replace(self.source, pixels=self.source.pixels[rows, columns]))
            found[Box(here.x - box.x, here.y - box.y, here.width, here.height).slices] = 1 - shown if self.negative else shown
        return found

    def _said(self) -> npt.NDArray[np.bool_]:
        """Where it is not quite black, or not quite white where black is meant."""
        pixels: npt.NDArray[Any] = self.source.pixels
        if self.negative:
            return _any(pixels < LARGEST[str(pixels.dtype)])
        colours = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
        lit = _any(colours > 0)
        return lit & (pixels[..., -1] > 0) if pixels.shape[2] in (2, 4) else lit


def shade_of(document: Document, mask: Document | None, sides: Sides, *, invert: bool) -> Shade:
    """The mask of a picture that grows by these sides: a file as large as the picture or the grown canvas, or how transparent it is."""
    (top, bottom), (left, right) = sides
    width, height = document.size
    grown = (left + width + right, top + height + bottom)
    if mask is None:
        pixels = document.pixels
        opaque = np.broadcast_to(np.asarray(LARGEST[str(pixels.dtype)], pixels.dtype), (height, width, 1))
        alpha = Document(pixels[..., -1:] if pixels.shape[2] in (2, 4) else opaque, document.profile, document.kind)
        return Shade(alpha, left, top, *grown, negative=not invert, outside=not invert)
    if mask.size not in (document.size, grown):
        raise InvalidRequest(
            f"The mask has {mask.size[0]} x {mask.size[1]} pixels, and the image {width} x {height}.",
            field="mask",
            hint="Make the mask as large as the image.",
        )
    corner = (0, 0) if mask.size == grown else (left, top)
    return Shade(mask, *corner, *grown, negative=invert, outside=not invert)


def _any(told: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(H, W): whether any channel says so."""
    return told[..., 0] if told.shape[2] == 1 else np.logical_or.reduce(told, 2)
