"""What `texture` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from pydantic import Field

from gesso.plugin.choosing import BestOf, Keep, Score
from gesso.plugin.fields import SEED_MAX, Tile, ui
from gesso.plugin.specs import OperationParams


class TextureParams(OperationParams):
    """Parameters of `texture`. Fields left out take the model's own defaults."""

    prompt: str = Field(title="Prompt", min_length=1, max_length=10_000, pattern=r"\S", json_schema_extra=ui("prompt", 10, "prompt"))
    """The material in words, such as "mossy grey cobblestone"."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 20, "model", choices="models")
    )
    """The model's name; by default the first that makes material maps."""

    width: int | None = Field(None, title="Width", ge=16, le=4096, json_schema_extra=ui("size", 30, "size"))
    """Width in pixels. A size that the model cannot do is refused, not rounded."""

    height: int | None = Field(None, title="Height", ge=16, le=4096, json_schema_extra=ui("size", 31, "size"))
    """Height in pixels."""

    count: int = Field(1, title="Count", ge=1, le=100, json_schema_extra=ui("count", 40, "size"))
    """How many materials, each with its six pictures. Material i has the seed `seed + i`."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 50, "sampling"))
    """Seed of the first material; chosen at random when it is left out."""

    tile: Tile = Field("xy", title="Tile", json_schema_extra=ui("tile", 60, "size"))
    """Make the material wrap around without a seam along x, y or both."""

    best_of: BestOf = None
    keep: Keep = None
    score: Score = Field({})
