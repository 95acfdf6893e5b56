"""What a job brings along for its model: LoRAs by name, checked against the model, and the patches made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gesso.errors import InvalidRequest

if TYPE_CHECKING:
    from gesso.model import ModelCard, Patch
    from gesso.plugin import JobContext, ResolveContext

LARGEST = 10.0


def loras(ctx: ResolveContext, card: ModelCard, asked: Mapping[str, float]) -> dict[str, float]:
    """Canonical names in alphabetical order, which is the order that they are applied in; those of weight 0 are dropped."""
    found: dict[str, float] = {}
    for name, weight in asked.items():
        lora = adapter(ctx, card, name, "lora")
        if not (math.isfinite(weight) and abs(weight) <= LARGEST):
            raise InvalidRequest(f"The weight {weight:g} of the LoRA {name!r} is too large; weights go up to {LARGEST:g}.", field="lora")
        if weight:
            found[lora.name] = weight
    return dict(sorted(found.items()))


def adapter(ctx: ResolveContext, card: ModelCard, name: str, kind: str) -> ModelCard:
    """The card of something that goes with a model; InvalidRequest where it is of another kind or was made for another base."""
    try:
        found = ctx.model(name, capability=kind)
    except InvalidRequest as fault:
        raise InvalidRequest(fault.message, field=kind) from fault
    if found.base and card.base and found.base != card.base:
        raise InvalidRequest(
            f"{name!r} was made for models of the kind {found.base}; {card.name!r} is of the kind {card.base}.",
            field=kind,
            hint=f"Leave it out, or choose a model of the kind {found.base}.",
        )
    return found


def patches(ctx: JobContext, asked: Mapping[str, float]) -> tuple[Patch, ...]:
    """The LoRAs of a resolved job."""
    from gesso.model import Lora, ModelRef

    cards = [(ctx.model(name), weight) for name, weight in asked.items()]
    return tuple(Lora(ModelRef(card.name, card.digest), weight) for card, weight in cards)


def short_hashes(ctx: JobContext, asked: Mapping[str, float]) -> dict[str, str]:
    """What the peers know the LoRAs of a resolved job by."""
    return {name: short for name in asked if (short := ctx.model(name).info.get("short_hash"))}
