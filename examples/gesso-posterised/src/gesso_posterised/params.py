"""What the operation takes. No torch here: command line, panels and documentation are drawn from this class."""

from __future__ import annotations

from gesso.plugin import OperationParams
from gesso.plugin.fields import InputBlob, ui
from pydantic import Field


class PosterParams(OperationParams):
    """Parameters of the operation."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image"))
    """The picture to work on."""

    bits: int = Field(2, title="Bits", ge=1, le=8, json_schema_extra=ui("slider", 20, "effect", span=(1, 8, 1)))
    """How many bits of each colour stay."""
