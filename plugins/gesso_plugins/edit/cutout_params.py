"""What `cutout` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gesso.plugin.fields import InputBlob, ui
from gesso.plugin.operations import OperationParams


class CutoutParams(OperationParams):
    """Parameters of `cutout`."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture: PNG, JPEG, WebP, TIFF or OpenEXR. It keeps its size, depth and colour profile."""

    mask: InputBlob | None = Field(None, title="Mask", json_schema_extra=ui("mask", 20, "image"))
    """As large as the picture, and rough: white is kept, black goes, and the edge between is found. Without one, the edge of what is
    transparent in the picture is found anew.
    """

    subject: str | None = Field(None, title="Subject", min_length=1, max_length=500, json_schema_extra=ui("prompt", 24, "image"))
    """In words, what is kept, in place of a mask: a model marks it, roughly, and the edge is then found as after any mask."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 26, "image", choices="models")
    )
    """The model that looks for the subject; by default the first that can."""

    sureness: float = Field(
        0.5, title="Sureness", gt=0, lt=1, json_schema_extra=ui("slider", 28, "image", advanced=True, span=(0.05, 0.95, 0.05))
    )
    """How sure the model must be of a place, from 0 to 1; lower it where too little is kept."""

    invert: bool = Field(False, title="Invert the mask", json_schema_extra=ui("toggle", 30, "image"))
    """Keep what the mask leaves black, or all but the subject: it is the background."""

    band: int | None = Field(None, title="Band", ge=1, le=256, json_schema_extra=ui("slider", 40, "image", span=(1, 64, 1)))
    """Pixels to either side of the mask's edge in which the true edge is looked for; by default as the mask is large. Hair and fur want
    more.
    """

    returns: Literal["image", "matte"] = Field("image", title="Returns", json_schema_extra=ui("choice", 50, "image"))
    """The picture without its background, or how opaque each pixel is, as grey."""
