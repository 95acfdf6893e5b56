"""What `texture` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gesso.plugin.choosing import BestOf, Keep, Score
from gesso.plugin.fields import SEED_MAX, InputBlob, Tile, ui
from gesso.plugin.operations import OperationParams

Repair = Literal["auto", "none", "blend", "paint"]
Normals = Literal["gl", "dx"]
Packing = Literal["separate", "orm", "both"]


class TextureParams(OperationParams):
    """Parameters of `texture`. Fields left out take the model's own defaults."""

    prompt: str = Field("", title="Prompt", max_length=10_000, json_schema_extra=ui("prompt", 10, "prompt"))
    """The material in words, such as "mossy grey cobblestone". With an image it may stay empty."""

    image: InputBlob | None = Field(None, title="Image", json_schema_extra=ui("image", 15, "image"))
    """A picture to make the material of, in place of words: it is made to wrap around, and its maps are found."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 20, "model", choices="models")
    )
    """The model's name; by default the first that makes material maps. With an image, the one that paints over the seam."""

    width: int | None = Field(None, title="Width", ge=16, le=4096, json_schema_extra=ui("size", 30, "size"))
    """Width in pixels; with an image, its own. A size that the model cannot do is refused, not rounded."""

    height: int | None = Field(None, title="Height", ge=16, le=4096, json_schema_extra=ui("size", 31, "size"))
    """Height in pixels."""

    count: int = Field(1, title="Count", ge=1, le=100, json_schema_extra=ui("count", 40, "size"))
    """How many materials, each with its pictures. Material i has the seed `seed + i`."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 50, "sampling"))
    """Seed of the first material; chosen at random when it is left out."""

    tile: Tile = Field("xy", title="Tile", json_schema_extra=ui("tile", 60, "size"))
    """Make the material wrap around without a seam along x, y or both."""

    repair: Repair = Field("auto", title="Repair", json_schema_extra=ui("choice", 70, "image"))
    """How an image is made to wrap: blend (pieces of itself are laid over the seam), paint (and a model paints over them), none; auto
    blends where a seam shows.
    """

    strength: float = Field(0.5, title="Strength", gt=0, le=1, json_schema_extra=ui("slider", 71, "image", span=(0.05, 1, 0.05)))
    """How much a model that paints over the seam redoes."""

    maps: bool = Field(True, title="Material maps", json_schema_extra=ui("toggle", 80, "maps", several=True))
    """Make height, normal, roughness, metallic and ambient occlusion beside the colour."""

    normals: Normals = Field("gl", title="Normals", json_schema_extra=ui("choice", 81, "maps"))
    """Which way green points in the normal map: gl (up, as in OpenGL, Blender, Unity) or dx (down, as in DirectX, Unreal)."""

    packing: Packing = Field("separate", title="Packing", json_schema_extra=ui("choice", 82, "maps"))
    """Occlusion, roughness and metalness as three files, as red, green and blue of one (orm), or both."""

    floats: bool = Field(False, title="Floating point", json_schema_extra=ui("toggle", 83, "maps"))
    """Every picture in floating point, as OpenEXR, with colours in linear light; otherwise 8 bits, height 16."""

    best_of: BestOf = None
    keep: Keep = None
    score: Score = Field({})
