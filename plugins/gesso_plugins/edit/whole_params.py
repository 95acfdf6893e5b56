"""What `vary` and `instruct` take. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gesso.plugin.fields import SEED_MAX, InputBlob, Options, Temperature, Tile, TopK, TopP, ui
from gesso.plugin.operations import OperationParams
from gesso.plugin.steering import ControlEnd, Controls, ControlStart, ControlStrength, Reference, Regions


class VaryParams(OperationParams):
    """Parameters of `vary`. Fields left out take the model's own defaults."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture to vary: PNG, JPEG, WebP, TIFF or OpenEXR. Results keep its size, depth, transparency and colour profile."""

    prompt: str = Field("", title="Prompt", max_length=10_000, json_schema_extra=ui("prompt", 20, "prompt"))
    """What the picture shows. Empty: the model is given no words, and the picture alone decides."""

    negative: str = Field("", title="Negative prompt", max_length=10_000, json_schema_extra=ui("negative", 30, "prompt"))
    """What is not to be seen."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 40, "model", choices="models")
    )
    """The model's name; by default the first that can start from a picture."""

    strength: float = Field(0.5, title="Strength", gt=0, le=1, json_schema_extra=ui("slider", 50, "image", span=(0.05, 1, 0.05)))
    """How far the variations go: little is the same picture made again, 1 keeps at most its broadest colours. Towards another picture or by
    words: how far on the way, 1 all of it. Models that draw tokens: the share of them that is drawn anew.
    """

    by: Literal["strength", "embedding"] = Field("strength", title="By", json_schema_extra=ui("choice", 55, "image"))
    """What a variation starts from: the picture itself, or what an image encoder says of it, so that it shows the same in another place.
    Models that make pictures of embeddings (unCLIP) take the latter.
    """

    toward: InputBlob | None = Field(None, title="Toward", json_schema_extra=ui("image", 56, "image", advanced=True))
    """Another picture: variations lie between the two, as far from the first as the strength says. For models that can do `view`."""

    from_text: str | None = Field(None, title="From words", max_length=10_000, json_schema_extra=ui("prompt", 57, "image", advanced=True))
    """What the picture shows: variations are changed as these words differ from `to_text`. For models that can do `view`."""

    to_text: str | None = Field(None, title="To words", max_length=10_000, json_schema_extra=ui("prompt", 58, "image", advanced=True))
    """What the variations are to show instead, such as "mossy brick" for "brick"; a strength of 0.25 to 0.5 does best."""

    count: int = Field(4, title="Count", ge=1, le=100, json_schema_extra=ui("count", 60, "sampling"))
    """How many variations. Variation i has the seed `seed + i`."""

    tile: Tile = Field("none", title="Tile", json_schema_extra=ui("tile", 70, "size"))
    """The axes along which the picture wraps around without a seam; the variations then do so too."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 80, "sampling"))
    """Seed of the first variation; chosen at random when it is left out."""

    steps: int | None = Field(None, title="Steps", ge=1, le=1000, json_schema_extra=ui("slider", 90, "sampling", span=(1, 100, 1)))
    """Sampling steps."""

    guidance: float | None = Field(None, title="Guidance", ge=0, le=100, json_schema_extra=ui("slider", 100, "sampling", span=(1, 20, 0.5)))
    """Classifier-free guidance scale; 1 means none."""

    sampler: str | None = Field(
        None, title="Sampler", min_length=1, max_length=100, json_schema_extra=ui("choice", 110, "sampling", choices="samplers")
    )
    """The sampler's name or alias. A label such as "DPM++ 2M Karras" names the schedule too."""

    temperature: Temperature = None
    top_k: TopK = None
    top_p: TopP = None

    schedule: str | None = Field(
        None, title="Schedule", min_length=1, max_length=100, json_schema_extra=ui("choice", 120, "sampling", choices="schedules")
    )
    """The noise schedule's name or alias."""

    control: Controls = Field({})
    control_strength: ControlStrength = Field({})
    control_start: ControlStart = Field({})
    control_end: ControlEnd = Field({})
    region: Regions = Field({})
    options: Options = Field({})
    adapter: Reference = None


class InstructParams(OperationParams):
    """Parameters of `instruct`. Fields left out take the model's own defaults."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture to change: PNG, JPEG, WebP, TIFF or OpenEXR. The result keeps its size, depth, transparency and colour profile."""

    prompt: str = Field(title="Instruction", min_length=1, max_length=10_000, pattern=r"\S", json_schema_extra=ui("prompt", 20, "prompt"))
    """What is to be done to the picture, such as "make it snowy"."""

    negative: str = Field("", title="Negative prompt", max_length=10_000, json_schema_extra=ui("negative", 30, "prompt"))
    """What is not to be seen."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 40, "model", choices="models")
    )
    """The model's name; by default the first that follows instructions."""

    count: int = Field(1, title="Count", ge=1, le=100, json_schema_extra=ui("count", 50, "sampling"))
    """How many results. Result i has the seed `seed + i`."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 60, "sampling"))
    """Seed of the first result; chosen at random when it is left out."""

    steps: int | None = Field(None, title="Steps", ge=1, le=1000, json_schema_extra=ui("slider", 70, "sampling", span=(1, 100, 1)))
    """Sampling steps."""

    guidance: float | None = Field(None, title="Guidance", ge=0, le=100, json_schema_extra=ui("slider", 80, "sampling", span=(1, 20, 0.5)))
    """How strongly the instruction is followed; 1 means no guidance."""

    sampler: str | None = Field(
        None, title="Sampler", min_length=1, max_length=100, json_schema_extra=ui("choice", 90, "sampling", choices="samplers")
    )
    """The sampler's name or alias. Models that bring their own program do not use it."""

    schedule: str | None = Field(
        None, title="Schedule", min_length=1, max_length=100, json_schema_extra=ui("choice", 100, "sampling", choices="schedules")
    )
    """The noise schedule's name or alias. Models that bring their own program do not use it."""

    options: Options = Field({})
