"""What `upscale` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from pydantic import Field

from gesso.plugin.fields import SEED_MAX, InputBlob, Tile, ui
from gesso.plugin.operations import OperationParams


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

    prompt: str = Field("", title="Prompt", max_length=10_000, json_schema_extra=ui("prompt", 50, "diffusion"))
    """What the picture shows; for upscalers that paint. Empty: the picture alone decides."""

    negative: str = Field("", title="Negative prompt", max_length=10_000, json_schema_extra=ui("negative", 60, "diffusion"))
    """What is not to be painted."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 70, "diffusion", choices="models")
    )
    """The model that an upscaler paints with; by default the first that can."""

    strength: float = Field(0.3, title="Strength", gt=0, le=1, json_schema_extra=ui("slider", 80, "diffusion", span=(0.05, 1, 0.05)))
    """How much an upscaler that paints makes up: little sharpens what is there, much invents."""

    steps: int | None = Field(None, title="Steps", ge=1, le=1000, json_schema_extra=ui("slider", 90, "diffusion", span=(1, 100, 1)))
    """Sampling steps."""

    guidance: float | None = Field(
        None, title="Guidance", ge=0, le=100, json_schema_extra=ui("slider", 100, "diffusion", span=(1, 20, 0.5))
    )
    """Classifier-free guidance scale; 1 means none."""

    sampler: str | None = Field(
        None, title="Sampler", min_length=1, max_length=100, json_schema_extra=ui("choice", 110, "diffusion", choices="samplers")
    )
    """The sampler's name or alias. A label such as "DPM++ 2M Karras" names the schedule too."""

    schedule: str | None = Field(
        None, title="Schedule", min_length=1, max_length=100, json_schema_extra=ui("choice", 120, "diffusion", choices="schedules")
    )
    """The noise schedule's name or alias."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 130, "diffusion"))
    """Seed of what is painted; chosen at random when it is left out."""

    window: int | None = Field(None, title="Window", ge=64, le=4096, json_schema_extra=ui("size", 140, "diffusion", advanced=True))
    """Pixels a side of the windows that a model paints in; by default the side that it likes."""
