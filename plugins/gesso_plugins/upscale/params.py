"""What `upscale` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from pydantic import Field

from gesso.plugin.fields import InputBlob, Tile, ui
from gesso.plugin.specs import OperationParams


class UpscaleParams(OperationParams):
    """Parameters of `upscale`."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture to make larger. What is transparent stays so."""

    scale: int = Field(2, title="Scale", ge=2, le=8, json_schema_extra=ui("slider", 20, "size", span=(2, 8, 1)))
    """How many times wider and higher."""

    upscaler: str = Field(
        "back_projection",
        title="Upscaler",
        min_length=1,
        max_length=100,
        json_schema_extra=ui("choice", 30, "size", choices="upscalers"),
    )
    """The upscaler's name or alias."""

    tile: Tile = Field("none", title="Tile", json_schema_extra=ui("tile", 40, "size"))
    """The axes along which the picture wraps around; it then does so afterwards as well."""
