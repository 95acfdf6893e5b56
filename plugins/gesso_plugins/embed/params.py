"""What `embed` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gesso.plugin.fields import InputBlob, ui
from gesso.plugin.operations import OperationParams

MOST = 256


class EmbedParams(OperationParams):
    """Parameters of `embed`."""

    images: list[InputBlob] = Field([], title="Images", max_length=MOST, json_schema_extra=ui("image", 10, "image", positional=True))
    """The pictures."""

    texts: list[Annotated[str, Field(min_length=1, max_length=10_000)]] = Field(
        [], title="Texts", max_length=MOST, json_schema_extra=ui("hidden", 20, "prompt")
    )
    """The words."""

    model: str | None = Field(
        None,
        title="Model",
        min_length=1,
        max_length=200,
        json_schema_extra=ui("hidden", 40, "model", advanced=True, choices="image_encoders"),
    )
    """The model that looks and reads, by default the first that can."""
