"""What steers a picture beside its words, for every operation that samples: controls, and regions with prompts of their own.

The parameters, and their checks; what is made of them is up to the operation that samples. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field

from gesso.errors import GessoError, InvalidRequest
from gesso.plugin.fields import InputBlob, ui

if TYPE_CHECKING:
    from gesso.model import ModelCard
    from gesso.plugin.context import ResolveContext

LARGEST = 10.0
"""The largest strength of a control, and weight of a LoRA."""

Controls = Annotated[
    dict[str, InputBlob],
    Field(
        title="Controls",
        max_length=8,
        description="ControlNets, T2I- and IP-Adapters by name, each with the picture that it reads (canny=edges.png).",
        json_schema_extra=ui("hidden", 141, "adapters"),
    ),
]
ControlStrength = Annotated[
    dict[str, float],
    Field(
        title="Control strength",
        max_length=8,
        description="How strongly each control steers (canny=0.8); 1 where nothing is said.",
        json_schema_extra=ui("hidden", 142, "adapters"),
    ),
]
ControlStart = Annotated[
    dict[str, float],
    Field(
        title="Control start",
        max_length=8,
        description="The fraction of the steps after which each control begins (canny=0.2).",
        json_schema_extra=ui("hidden", 143, "adapters"),
    ),
]
ControlEnd = Annotated[
    dict[str, float],
    Field(
        title="Control end",
        max_length=8,
        description="The fraction of the steps after which each control ends (canny=0.8).",
        json_schema_extra=ui("hidden", 144, "adapters"),
    ),
]
Regions = Annotated[
    dict[str, InputBlob],
    Field(
        title="Regions",
        max_length=16,
        description="Prompts for parts of the picture, each with a mask, white where it holds (a fox=fox.png). Elsewhere the prompt does.",
        json_schema_extra=ui("hidden", 145, "prompt"),
    ),
]


Reference = Annotated[
    str | None,
    Field(
        title="IP-Adapter",
        min_length=1,
        max_length=200,
        description="The IP-Adapter that shows the model the picture; by default the first.",
        json_schema_extra=ui("choice", 155, "adapters", advanced=True, choices="ip_adapters"),
    ),
]


class Steered(Protocol):
    """Parameters of an operation that can be steered."""

    @property
    def control(self) -> Mapping[str, InputBlob]:
        """Controls by name."""
        ...

    @property
    def region(self) -> Mapping[str, InputBlob]:
        """Masks by prompt."""
        ...


STEERING = ("control", "control_strength", "control_start", "control_end", "region")
"""The names of the parameters above, for operations that hand them on."""


def controls(ctx: ResolveContext, card: ModelCard, params: Steered) -> dict[str, dict[str, Any]]:
    """The fields of all controls, under canonical names and complete."""
    names = {asked: adapter(ctx, card, asked, "controlnet", "control").name for asked in params.control}
    if len(set(names.values())) < len(names):
        raise InvalidRequest("A control was asked for twice.", field="control")
    found: dict[str, dict[str, Any]] = {"control": {name: params.control[asked] for asked, name in names.items()}}
    for field, usual, most in (("control_strength", 1.0, LARGEST), ("control_start", 0.0, 1.0), ("control_end", 1.0, 1.0)):
        given: Mapping[str, float] = getattr(params, field)
        for asked, value in given.items():
            if asked not in names:
                raise InvalidRequest(f"There is no control {asked!r} in this job.", field=field, hint="Give its picture with `control`.")
            if not 0.0 <= value <= most:
                raise InvalidRequest(f"The value {value:g} for {asked!r} is not between 0 and {most:g}.", field=field)
        found[field] = {name: given.get(asked, usual) for asked, name in names.items()}
    late = next((name for name in found["control"] if found["control_start"][name] >= found["control_end"][name]), None)
    if late is not None:
        raise InvalidRequest(f"The control {late!r} would end before it starts.", field="control_end")
    return found


def adapter(ctx: ResolveContext, card: ModelCard, name: str, kind: str, field: str) -> ModelCard:
    """The card of something that goes with a model; InvalidRequest where it is of another kind or was made for another base."""
    try:
        found = ctx.model(name, capability=kind)
    except InvalidRequest as fault:
        raise InvalidRequest(fault.message, field=field, hint=fault.hint) from fault
    if found.base and card.base and found.base != card.base:
        raise InvalidRequest(
            f"{name!r} was made for models of the kind {found.base}; {card.name!r} is of the kind {card.base}.",
            field=field,
            hint=f"Leave it out, or choose a model of the kind {found.base}.",
        )
    return found


def reference(ctx: ResolveContext, card: ModelCard, name: str | None) -> ModelCard:
    """The card of the IP-Adapter that shows a model a picture, by default the first; InvalidRequest says how to get one."""
    try:
        found = ctx.model(name, capability="reference")
    except GessoError as fault:
        if name is not None:
            raise
        raise InvalidRequest(
            f"There is no IP-Adapter that could show a picture to the model {card.name!r}.",
            field="adapter",
            hint="Get one for its kind (h94/IP-Adapter has them for Stable Diffusion 1.5 and XL), put its image_encoder/ beside it, "
            "and take it in with `gesso models add FILE`.",
        ) from fault
    return adapter(ctx, card, found.name, "reference", "adapter")


def check_regions(params: Steered) -> None:
    """InvalidRequest for a region without words."""
    if not all(words.strip() for words in params.region):
        raise InvalidRequest("A region has no prompt.", field="region", hint="Say what is to be seen in it, or leave it out.")
