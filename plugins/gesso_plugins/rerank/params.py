"""What `rerank` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from pydantic import Field

from gesso.plugin.choosing import Score
from gesso.plugin.fields import InputBlob, Tile, ui
from gesso.plugin.operations import OperationParams

MOST = 64


class RerankParams(OperationParams):
    """Parameters of `rerank`."""

    prompt: str = Field(title="Prompt", max_length=10_000, json_schema_extra=ui("prompt", 10, "prompt"))
    """What the pictures are to show; may be empty for scorers that look at pictures only."""

    images: list[InputBlob] = Field(
        title="Images", min_length=1, max_length=MOST, json_schema_extra=ui("image", 20, "image", positional=True)
    )
    """The pictures to put in order."""

    tile: Tile = Field("none", title="Tile", json_schema_extra=ui("tile", 30, "image"))
    """The axes along which the pictures are meant to wrap around."""

    background: str = Field(
        "#f4f4f2", title="Background", pattern="^#[0-9a-fA-F]{6}$", json_schema_extra=ui("colour", 40, "image", advanced=True)
    )
    """The colour of the contact sheet, as #rrggbb."""

    score: Score = Field({})
