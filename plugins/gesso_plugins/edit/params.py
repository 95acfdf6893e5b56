"""What `edit` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gesso.plugin.choosing import BestOf, Keep, Score
from gesso.plugin.fields import SEED_MAX, InputBlob, Options, Temperature, TopK, TopP, ui
from gesso.plugin.operations import OperationParams
from gesso.plugin.steering import ControlEnd, Controls, ControlStart, ControlStrength, Regions
from gesso_plugins.edit.presets import PRESETS


class EditParams(OperationParams):
    """Parameters of `edit`. Fields left out take the model's own defaults."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture to edit: PNG, JPEG, WebP, TIFF or OpenEXR. It keeps its size, depth and colour profile."""

    mask: InputBlob | None = Field(None, title="Mask", json_schema_extra=ui("mask", 20, "image"))
    """As large as the picture: white is edited, black comes back byte for byte, grey in between. Without one, what is transparent is.
    Where the canvas grows, a mask as large as the grown canvas says which of the new pixels are filled; one as the picture fills all.
    """

    invert: bool = Field(False, title="Invert the mask", json_schema_extra=ui("toggle", 25, "image"))
    """Edit what the mask leaves black: the background of what it covers."""

    preset: Literal["inpaint", "refine", "outpaint", "background", "remove", "add"] | None = Field(
        None, title="Preset", json_schema_extra=ui("choice", 27, "image", presets=PRESETS)
    )
    """What is to be done: fill the mask, work out what is there, extend the canvas, replace all else, take away, add. It sets what is left
    at its default.
    """

    prompt: str = Field("", title="Prompt", max_length=10_000, json_schema_extra=ui("prompt", 30, "prompt"))
    """What is to be seen where the mask is white. Empty: the model is given no words, and guidance then changes nothing."""

    negative: str = Field("", title="Negative prompt", max_length=10_000, json_schema_extra=ui("negative", 40, "prompt"))
    """What is not to be seen there."""

    style_preset: str | None = Field(
        None, title="Style", min_length=1, max_length=100, json_schema_extra=ui("choice", 45, "prompt", choices="styles")
    )
    """A style that the words are put into; it may also choose how they are sampled, where that is left out below."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 50, "model", choices="models")
    )
    """The model's name; by default the first that can start from a picture."""

    strength: float = Field(1.0, title="Strength", gt=0, le=1, json_schema_extra=ui("slider", 60, "image", span=(0.05, 1, 0.05)))
    """How much is redone: 1 makes something new, less refines what is there."""

    left: int = Field(0, title="Left", ge=0, le=4096, json_schema_extra=ui("size", 70, "outpaint"))
    """Pixels that the canvas grows by on the left. What is added is filled (outpainting)."""

    top: int = Field(0, title="Top", ge=0, le=4096, json_schema_extra=ui("size", 71, "outpaint"))
    """Pixels that the canvas grows by at the top."""

    right: int = Field(0, title="Right", ge=0, le=4096, json_schema_extra=ui("size", 72, "outpaint"))
    """Pixels that the canvas grows by on the right."""

    bottom: int = Field(0, title="Bottom", ge=0, le=4096, json_schema_extra=ui("size", 73, "outpaint"))
    """Pixels that the canvas grows by at the bottom."""

    count: int = Field(1, title="Count", ge=1, le=100, json_schema_extra=ui("count", 80, "sampling"))
    """How many results. Result i has the seed `seed + i`."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 90, "sampling"))
    """Seed of the first result; chosen at random when it is left out."""

    steps: int | None = Field(None, title="Steps", ge=1, le=1000, json_schema_extra=ui("slider", 100, "sampling", span=(1, 100, 1)))
    """Sampling steps."""

    guidance: float | None = Field(None, title="Guidance", ge=0, le=100, json_schema_extra=ui("slider", 110, "sampling", span=(1, 20, 0.5)))
    """Classifier-free guidance scale; 1 means none."""

    temperature: Temperature = None
    top_k: TopK = None
    top_p: TopP = None

    sampler: str | None = Field(
        None, title="Sampler", min_length=1, max_length=100, json_schema_extra=ui("choice", 120, "sampling", choices="samplers")
    )
    """The sampler's name or alias. A label such as "DPM++ 2M Karras" names the schedule too."""

    schedule: str | None = Field(
        None, title="Schedule", min_length=1, max_length=100, json_schema_extra=ui("choice", 130, "sampling", choices="schedules")
    )
    """The noise schedule's name or alias."""

    padding: float = Field(
        0.33, title="Padding", ge=0, le=4, json_schema_extra=ui("slider", 131, "region", advanced=True, span=(0, 2, 0.05))
    )
    """How much of the surroundings the model sees, in lengths of the masked region's longer side."""

    grow: int | None = Field(
        None, title="Grow", ge=0, le=256, json_schema_extra=ui("slider", 132, "region", advanced=True, span=(0, 64, 1))
    )
    """Pixels that the mask is widened by; by default as the region is large."""

    feather: int | None = Field(
        None, title="Feather", ge=0, le=512, json_schema_extra=ui("slider", 133, "region", advanced=True, span=(0, 128, 1))
    )
    """Pixels over which the change fades out beyond that; by default as the region is large and the strength high."""

    blend: int | None = Field(
        None, title="Blend", ge=0, le=512, json_schema_extra=ui("slider", 134, "region", advanced=True, span=(0, 96, 1))
    )
    """Pixels over which the result fades into the picture; at most grow and feather together."""

    match_border: bool = Field(True, title="Match the border", json_schema_extra=ui("toggle", 135, "region", advanced=True))
    """Take differences of colour away where the result meets the picture."""

    returns: Literal["image", "region", "layer"] = Field(
        "image", title="Returns", json_schema_extra=ui("choice", 136, "region", advanced=True)
    )
    """The whole picture, only the region that was worked on (its place is in the result), or that region as a layer: as transparent as the
    mask and its blend, for hosts that lay it over the picture themselves.
    """

    control: Controls = Field({})
    control_strength: ControlStrength = Field({})
    control_start: ControlStart = Field({})
    control_end: ControlEnd = Field({})
    region: Regions = Field({})
    options: Options = Field({})
    best_of: BestOf = None
    keep: Keep = None
    score: Score = Field({})
