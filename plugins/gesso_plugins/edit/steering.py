"""What steers an edit beside its words: controls and regions as large as the picture, cut down to what the model is shown of it. A picture
that is a reference (an IP-Adapter's) lies nowhere in it, has any size, and stays whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.documents import Document
from gesso.media.images import Picture
from gesso.media.working import Pixels, brightness, resized, to_srgb
from gesso.plugin import JobContext
from gesso.plugin.fields import InputBlob
from gesso_plugins.edit.boxes import Box


class Steered(Protocol):
    """Parameters with controls and regions."""

    @property
    def control(self) -> Mapping[str, InputBlob]:
        """Pictures by the control's name."""
        ...

    @property
    def region(self) -> Mapping[str, InputBlob]:
        """Masks by their prompt."""
        ...


@dataclass(frozen=True)
class Frame:
    """A picture of ``size`` that lies at (left, top) of a canvas of ``grown``, and the ``box`` of the canvas that a model is shown."""

    size: tuple[int, int]
    grown: tuple[int, int]
    left: int
    top: int
    box: Box

    def cut(self, document: Document, field: str) -> Document:
        """The same box of another picture, as large as the picture or as the canvas; black where that does not reach."""
        if document.size not in (self.size, self.grown):
            said = f"{document.size[0]} x {document.size[1]} pixels, and the image {self.size[0]} x {self.size[1]}"
            raise InvalidRequest(f"A picture of `{field}` has {said}.", field=field, hint="Make it as large as the image.")
        corner = (0, 0) if document.size == self.grown else (self.left, self.top)
        here = Box(*corner, *document.size).clipped(self.box)
        cut = np.zeros((self.box.height, self.box.width, document.pixels.shape[2]), document.pixels.dtype)
        inner = Box(here.x - corner[0], here.y - corner[1], here.width, here.height)
        cut[Box(here.x - self.box.x, here.y - self.box.y, here.width, here.height).slices] = document.pixels[inner.slices]
        return replace(document, pixels=cut)


@dataclass(frozen=True)
class Steering:
    """``control``: what the model is shown of each control (h, w, 3) in 0..1; ``region``: of each region's mask (h, w, 1)."""

    control: Mapping[str, Pixels]
    region: Mapping[str, Pixels]

    def shown(self, ctx: JobContext, params: Steered, size: tuple[int, int], tile: str = "none") -> dict[str, Any]:
        """Parameters of `generate`, at a size that the model makes."""
        control, region = (
            {key: ctx.keep(resized(pixels, size, tile)) for key, pixels in found.items()} for found in (self.control, self.region)
        )
        return {"control": {**control, **references(ctx, params)}, "region": region}


def steering(control: Mapping[str, Picture], region: Mapping[str, Picture], frame: Frame) -> Steering:
    """All pictures read and cut down; a region that holds nowhere in the box is left out."""
    masks = _read(region, frame, "region", lambda cut: brightness(cut)[..., None])
    return Steering(
        _read(control, frame, "control", lambda cut: to_srgb(cut, cut.pixels)), {name: mask for name, mask in masks.items() if mask.any()}
    )


def files(ctx: JobContext, params: Steered) -> tuple[dict[str, Picture], dict[str, Picture]]:
    """The pictures of the controls, without references, and of the regions."""
    placed = {name: blob for name, blob in params.control.items() if name not in references(ctx, params)}
    control, region = ({key: ctx.blob(blob.sha256) for key, blob in named.items()} for named in (placed, params.region))
    return control, region


def references(ctx: JobContext, params: Steered) -> dict[str, Any]:
    """The controls that are a second prompt and no drawing, as `generate` takes them."""
    return {name: blob.model_dump() for name, blob in params.control.items() if "reference" in ctx.model(name).capabilities}


def _read(given: Mapping[str, Picture], frame: Frame, field: str, see: Callable[[Document], Pixels]) -> dict[str, Pixels]:
    return {name: see(frame.cut(documents.read(picture, field), field)) for name, picture in given.items()}
