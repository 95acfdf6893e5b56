"""What the operation takes. No torch here: command line, panels and documentation are drawn from this class."""

from __future__ import annotations

from gesso.plugin import OperationParams
from gesso.plugin.fields import InputBlob, ui
from pydantic import Field


class FadeParams(OperationParams):
    """Parameters of the operation."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image"))
    """The picture to work on."""

    strength: float = Field(
        0.5, title="Strength", ge=0, le=1, json_schema_extra=ui("slider", 20, "effect", span=(0, 1, 0.05))
    )
    """How far the colours go towards grey: 0 leaves the picture as it is."""
