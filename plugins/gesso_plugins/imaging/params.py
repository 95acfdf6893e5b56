"""What `generate` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gesso.plugin.choosing import BestOf, Draft, Keep, Prune, Score
from gesso.plugin.fields import SEED_MAX, InputBlob, Options, Temperature, Tile, TopK, TopP, ui
from gesso.plugin.operations import OperationParams
from gesso.plugin.steering import ControlEnd, Controls, ControlStart, ControlStrength, Regions

LARGEST = 8192
"""The longest side of a picture, whatever its model."""


class GenerateParams(OperationParams):
    """Parameters of `generate`. Fields left out take the model's own defaults."""

    prompt: str = Field(title="Prompt", max_length=10_000, json_schema_extra=ui("prompt", 10, "prompt"))
    """What the picture shows. It may be empty only where there is a picture to start from."""

    negative: str = Field("", title="Negative prompt", max_length=10_000, json_schema_extra=ui("negative", 20, "prompt"))
    """What the picture must not show. Models without guidance ignore it and say so."""

    style_preset: str | None = Field(
        None, title="Style", min_length=1, max_length=100, json_schema_extra=ui("choice", 25, "prompt", choices="styles")
    )
    """A style that the words are put into; it may also choose what is left out below."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 30, "model", choices="models")
    )
    """The model's name; by default the first that can do the job."""

    width: int | None = Field(None, title="Width", ge=16, le=LARGEST, json_schema_extra=ui("size", 40, "size"))
    """Width in pixels. A size that the model cannot do is refused, not rounded."""

    height: int | None = Field(None, title="Height", ge=16, le=LARGEST, json_schema_extra=ui("size", 41, "size"))
    """Height in pixels."""

    window: int | None = Field(None, title="Window", ge=64, le=4096, json_schema_extra=ui("hidden", 45, "size", advanced=True))
    """Make the picture in overlapping windows of so many pixels a side; it may then be larger than the model makes at once."""

    tile: Tile = Field("none", title="Tile", json_schema_extra=ui("tile", 50, "size"))
    """Make the picture wrap around without a seam along x, y or both."""

    count: int = Field(1, title="Count", ge=1, le=100, json_schema_extra=ui("count", 60, "size"))
    """How many pictures. Picture i has the seed `seed + i`, and equals the picture of count 1 with that seed."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 70, "sampling"))
    """Seed of the first picture; chosen at random when it is left out."""

    steps: int | None = Field(None, title="Steps", ge=1, le=1000, json_schema_extra=ui("slider", 80, "sampling", span=(1, 100, 1)))
    """Sampling steps."""

    guidance: float | None = Field(None, title="Guidance", ge=0, le=100, json_schema_extra=ui("slider", 90, "sampling", span=(1, 20, 0.5)))
    """Classifier-free guidance scale; 1 means none."""

    guidance_rescale: float = Field(
        0.0, title="Guidance rescale", ge=0, le=1, json_schema_extra=ui("slider", 91, "guidance", advanced=True, span=(0, 1, 0.05))
    )
    """How much of the contrast that strong guidance adds is taken back; 0 none, 0.7 for models of zero terminal SNR."""

    guidance_schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", title="Guidance schedule", json_schema_extra=ui("choice", 92, "guidance", advanced=True)
    )
    """How strong guidance is over the steps: linear and cosine rise from none to twice the scale."""

    guidance_start: float = Field(
        0.0, title="Guidance start", ge=0, le=1, json_schema_extra=ui("slider", 93, "guidance", advanced=True, span=(0, 1, 0.05))
    )
    """Fraction of the steps after which guidance begins. Steps without guidance cost half."""

    guidance_end: float = Field(
        1.0, title="Guidance end", ge=0, le=1, json_schema_extra=ui("slider", 94, "guidance", advanced=True, span=(0, 1, 0.05))
    )
    """Fraction of the steps after which guidance ends."""

    guidance_extra: dict[str, Any] = Field({}, title="More guidance", json_schema_extra=ui("hidden", 95, "guidance", advanced=True))
    """Further guidances by name: their scale, or their options (perturbed_attention=3, skip_layer.end=0.2); see docs/guidance.md."""

    sampler: str | None = Field(
        None, title="Sampler", min_length=1, max_length=100, json_schema_extra=ui("choice", 100, "sampling", choices="samplers")
    )
    """The sampler's name or alias. A label such as "DPM++ 2M Karras" names the schedule too."""

    schedule: str | None = Field(
        None, title="Schedule", min_length=1, max_length=100, json_schema_extra=ui("choice", 110, "sampling", choices="schedules")
    )
    """The noise schedule's name or alias."""

    temperature: Temperature = None
    top_k: TopK = None
    top_p: TopP = None

    image: InputBlob | None = Field(None, title="Image", json_schema_extra=ui("image", 120, "image"))
    """A picture to start from; it is scaled to the size asked for."""

    strength: float | None = Field(None, title="Strength", ge=0, le=1, json_schema_extra=ui("slider", 130, "image", span=(0, 1, 0.05)))
    """How much of the starting picture is redone: 0 keeps it, 1 keeps at most its broadest colours. With `like`, how far its
    embedding is moved. Only together with one of the two.
    """

    like: InputBlob | None = Field(None, title="Like", json_schema_extra=ui("hidden", 131, "image"))
    """A picture whose embedding is made into pictures, for models that do so (`view`): others that show the same."""

    toward: InputBlob | None = Field(None, title="Toward", json_schema_extra=ui("hidden", 132, "image"))
    """Another picture: the embedding is moved from `like` towards it, as far as the strength says."""

    from_text: str | None = Field(None, title="From words", max_length=10_000, json_schema_extra=ui("hidden", 133, "image"))
    """What `like` shows: its embedding is moved along the difference between these words and `to_text`."""

    to_text: str | None = Field(None, title="To words", max_length=10_000, json_schema_extra=ui("hidden", 134, "image"))
    """What the pictures are to show instead."""

    mask: InputBlob | None = Field(None, title="Mask", json_schema_extra=ui("mask", 135, "image"))
    """Where the starting picture is painted anew: white all, black nothing, grey later and less. Only together with an image."""

    paste: bool = Field(True, title="Paste", json_schema_extra=ui("hidden", 136, "image", advanced=True))
    """Lay the starting picture's own pixels over the result wherever the mask is black; without it, what the model made of them stays."""

    bits: Literal[8, 16] = Field(8, title="Bits", json_schema_extra=ui("hidden", 137, "size", advanced=True))
    """Bits of each sample of the result."""

    lora: dict[str, float] = Field({}, title="LoRAs", max_length=16, json_schema_extra=ui("hidden", 138, "adapters"))
    """LoRAs by name, each with its weight (NAME=0.8). They belong to this job alone."""

    embedding: list[str] = Field([], title="Embeddings", max_length=16, json_schema_extra=ui("hidden", 139, "adapters"))
    """Textual inversions by name; the name in the prompt then stands for what was learned."""

    vae: str | None = Field(None, title="Autoencoder", min_length=1, max_length=200, json_schema_extra=ui("hidden", 140, "adapters"))
    """Another autoencoder for the model's latents, by name."""

    control: Controls = Field({})
    control_strength: ControlStrength = Field({})
    control_start: ControlStart = Field({})
    control_end: ControlEnd = Field({})
    region: Regions = Field({})

    align: float = Field(0.0, title="Align", ge=0, le=1, json_schema_extra=ui("slider", 146, "style", advanced=True, span=(0, 1, 0.05)))
    """How much the pictures take on the look of one of them: 0 not at all, 1 as StyleAligned does. It costs twice the time."""

    align_seed: int | None = Field(
        None, title="Align to seed", ge=0, le=SEED_MAX, json_schema_extra=ui("hidden", 147, "style", advanced=True)
    )
    """The seed of the picture that the others follow; by default the first one's."""

    align_prompt: str | None = Field(
        None, title="Align to prompt", min_length=1, max_length=10_000, json_schema_extra=ui("hidden", 148, "style", advanced=True)
    )
    """What the picture that the others follow shows; by default what they show."""

    control_part: dict[str, Literal["all", "style", "layout"]] = Field(
        {}, title="Control part", max_length=8, json_schema_extra=ui("hidden", 149, "adapters", advanced=True)
    )
    """What of each reference is heard (mood=style): all of it, or where the model is known to tell them apart its style or layout alone."""

    options: Options = Field({})

    best_of: BestOf = None
    keep: Keep = None
    score: Score = Field({})
    prune: Prune = Field([])
    draft: Draft = None

    preview_vae: str | None = Field(
        None, title="Autoencoder of drafts", min_length=1, max_length=200, json_schema_extra=ui("hidden", 205, "choice", advanced=True)
    )
    """The autoencoder that drafts and pictures on their way are judged through, by name: a small one, such as TAESD, is quick. By default
    the model's own small one, else the one that makes the picture.
    """
