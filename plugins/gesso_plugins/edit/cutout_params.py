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

    invert: bool = Field(False, title="Invert the mask", json_schema_extra=ui("toggle", 30, "image"))
    """Keep what the mask leaves black: it covers the background."""

    band: int | None = Field(None, title="Band", ge=1, le=256, json_schema_extra=ui("slider", 40, "image", span=(1, 64, 1)))
    """Pixels to either side of the mask's edge in which the true edge is looked for; by default as the mask is large. Hair and fur want
    more.
    """

    returns: Literal["image", "matte"] = Field("image", title="Returns", json_schema_extra=ui("choice", 50, "image"))
    """The picture without its background, or how opaque each pixel is, as grey."""
