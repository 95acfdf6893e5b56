"""Building blocks for the parameters of operations: the `x-ui` vocabulary, input pictures, seeds. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SEED_MAX = 2**53 - 1
"""The largest seed: the largest integer that every JSON reader keeps exact."""

Tile = Literal["none", "x", "y", "xy"]
"""The axes along which a picture wraps around without a seam."""

Widget = Literal[
    "prompt", "negative", "text", "seed", "size", "slider", "image", "mask", "model", "choice", "tile", "count", "toggle", "colour",
    "hidden",
]  # fmt: skip
Choices = Literal["samplers", "schedules", "models", "styles", "scorers", "upscalers", "image_encoders", "style_networks", "ip_adapters"]


class InputBlob(BaseModel):
    """A picture that the client has stored with the daemon."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the file's bytes."""


def ui(  # noqa: PLR0913  (each argument is one hint)
    widget: Widget,
    order: int,
    group: str,
    *,
    advanced: bool = False,
    span: tuple[float, float, float] | None = None,
    choices: Choices | None = None,
    positional: bool = False,
    several: bool = False,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Hints for whoever draws a panel; the vocabulary stands in docs/operations.md. ``span``: (from, to, step) of a slider, where that is
    narrower than what is allowed. ``positional``: a picture that the command line takes without a flag. ``several``: where the field is on,
    each picture of the job is several files. ``presets``: what each choice of the field sets other fields to, where they are left out.
    """
    hints: dict[str, Any] = {"widget": widget, "group": group, "order": order}
    if span is not None:
        hints["range"] = list(span)
    if advanced:
        hints["advanced"] = True
    if positional:
        hints["positional"] = True
    if several:
        hints["several"] = True
    if presets is not None:
        hints["presets"] = {name: dict(values) for name, values in presets.items()}
    return {"x-ui": hints} if choices is None else {"x-ui": hints, "x-choices": choices}


Temperature = Annotated[
    float | None,
    Field(
        title="Temperature",
        ge=0,
        le=10,
        description="Of models that draw tokens: under 1 likely ones come oftener, over 1 less; 0 the likeliest. Default: the model's.",
        json_schema_extra=ui("slider", 112, "sampling", advanced=True, span=(0, 2, 0.05)),
    ),
]
TopK = Annotated[
    int | None,
    Field(
        title="Top k",
        ge=1,
        le=65_536,
        description="Of models that draw tokens: how many of the likeliest can be drawn; by default all.",
        json_schema_extra=ui("slider", 113, "sampling", advanced=True, span=(1, 512, 1)),
    ),
]
TopP = Annotated[
    float | None,
    Field(
        title="Top p",
        gt=0,
        le=1,
        description="Of models that draw tokens: only the likeliest that together are so probable; 1 all. Default: the model's.",
        json_schema_extra=ui("slider", 114, "sampling", advanced=True, span=(0.05, 1, 0.05)),
    ),
]

Options = Annotated[
    dict[str, dict[str, Any]],
    Field(
        title="Options",
        description="Parameters of one model family, under the family's name.",
        json_schema_extra=ui("hidden", 150, "advanced", advanced=True),
    ),
]
