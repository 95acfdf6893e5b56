"""What `style` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gesso.plugin.fields import SEED_MAX, InputBlob, Tile, ui
from gesso.plugin.operations import OperationParams
from gesso.plugin.steering import LARGEST, Reference

Method = Literal["transfer", "optimise", "colours", "ip_adapter"]
Kept = Literal["nothing", "colours", "lightness", "shapes"]


class StyleParams(OperationParams):
    """Parameters of `style`."""

    image: InputBlob = Field(title="Image", json_schema_extra=ui("image", 10, "image", positional=True))
    """The picture whose shapes stay. It keeps its size, depth and colour profile."""

    style: list[InputBlob] = Field([], title="Style", max_length=8, json_schema_extra=ui("image", 20, "style"))
    """The picture whose look it takes on; several are mixed, or go where their masks say."""

    preset: str | None = Field(
        None, title="Preset", min_length=1, max_length=100, json_schema_extra=ui("choice", 30, "style", choices="styles")
    )
    """A style in words, in place of a picture: a model that starts from the picture repaints it."""

    method: Method = Field("transfer", title="Method", json_schema_extra=ui("choice", 40, "style"))
    """How the look of a picture is taken over: transfer (by a network, at once), optimise (step by step, more faithful, slower), colours
    alone, or ip_adapter (a model that repaints is shown the picture).
    """

    strength: float | None = Field(None, title="Strength", gt=0, le=1, json_schema_extra=ui("slider", 50, "style", span=(0.05, 1, 0.05)))
    """How much of the look is taken over; by default 1, and 0.6 where a model repaints."""

    preserve: Kept = Field("nothing", title="Preserve", json_schema_extra=ui("choice", 60, "style"))
    """What of the image stays: its colours (only light and dark change), its lightness (only the colours do), or its shapes, to the last
    edge (its brightness moves as a whole; colours go where the look wants them).
    """

    mask: list[InputBlob] = Field([], title="Masks", max_length=8, json_schema_extra=ui("mask", 70, "region"))
    """Where each style goes, white on black, one mask for each; outside all of them the picture stays as it is, to the byte."""

    tile: Tile = Field("none", title="Tile", json_schema_extra=ui("tile", 80, "image"))
    """The axes along which the image wraps around; the result then does too."""

    size: int = Field(512, title="Painted size", ge=64, le=2048, json_schema_extra=ui("slider", 90, "image", span=(128, 1024, 8)))
    """The longest side at which it is painted before it gets its own size again: the smaller, the larger the strokes."""

    content_weight: float = Field(
        0.1, title="Content weight", ge=0, le=100, json_schema_extra=ui("slider", 100, "advanced", advanced=True, span=(0, 1, 0.01))
    )
    """How strongly `optimise` holds on to the shapes, against the look."""

    steps: int | None = Field(None, title="Steps", ge=1, le=1000, json_schema_extra=ui("slider", 110, "sampling", span=(1, 200, 1)))
    """Steps of `optimise` (60 by default), or of the model that repaints."""

    network: str | None = Field(
        None,
        title="Network",
        min_length=1,
        max_length=200,
        json_schema_extra=ui("choice", 115, "sampling", advanced=True, choices="style_networks"),
    )
    """The network that transfers, or the encoder that `optimise` looks with; by default the first that can."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 120, "sampling", choices="models")
    )
    """With a preset or ip_adapter: the model that repaints; by default the first that can start from a picture."""

    prompt: str = Field("", title="Prompt", max_length=10_000, json_schema_extra=ui("prompt", 130, "sampling"))
    """With a preset or ip_adapter: what the picture shows."""

    count: int = Field(1, title="Count", ge=1, le=100, json_schema_extra=ui("count", 140, "sampling"))
    """How many results. Result i has the seed `seed + i`."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 150, "sampling"))
    """Seed of the first result; chosen at random when it is left out."""

    adapter: Reference = None

    scale: float = Field(
        1.0, title="Scale", ge=0, le=LARGEST, json_schema_extra=ui("slider", 160, "adapters", advanced=True, span=(0, 2, 0.05))
    )
    """How strongly the IP-Adapter speaks to the model that repaints."""
