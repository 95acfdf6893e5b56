"""What `caption` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gesso.plugin.fields import InputBlob, ui
from gesso.plugin.operations import OperationParams

MOST = 10_000


class CaptionParams(OperationParams):
    """Parameters of `caption`."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture to find words for."""

    vocabulary: list[Annotated[str, Field(min_length=1, max_length=300)]] = Field(
        [], title="Vocabulary", max_length=MOST, json_schema_extra=ui("hidden", 20, "prompt")
    )
    """The words or phrases to choose from; colours with materials where there are none."""

    limit: int = Field(10, title="Limit", ge=1, le=100, json_schema_extra=ui("count", 30, "choice"))
    """How many of the words are told, the best first."""

    model: str | None = Field(
        None,
        title="Model",
        min_length=1,
        max_length=200,
        json_schema_extra=ui("hidden", 40, "model", advanced=True, choices="image_encoders"),
    )
    """The model that compares, by default the first that can."""
