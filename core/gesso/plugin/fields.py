"""Building blocks for the parameters of operations: the `x-ui` vocabulary, input pictures, seeds. Torch-free."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SEED_MAX = 2**53 - 1
"""The largest seed: the largest integer that every JSON reader keeps exact."""

Tile = Literal["none", "x", "y", "xy"]
"""The axes along which a picture wraps around without a seam."""

Widget = Literal[
    "prompt", "negative", "seed", "size", "slider", "image", "mask", "model", "choice", "tile", "count", "toggle", "colour", "hidden"
]  # fmt: skip
Choices = Literal["samplers", "schedules", "models", "styles", "scorers", "upscalers", "image_encoders"]


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
) -> dict[str, Any]:
    """Hints for whoever draws a panel; the vocabulary stands in docs/operations.md. ``span``: (from, to, step) of a slider, where that is
    narrower than what is allowed. ``positional``: a picture that the command line takes without a flag.
    """
    hints: dict[str, Any] = {"widget": widget, "group": group, "order": order}
    if span is not None:
        hints["range"] = list(span)
    if advanced:
        hints["advanced"] = True
    if positional:
        hints["positional"] = True
    return {"x-ui": hints} if choices is None else {"x-ui": hints, "x-choices": choices}
