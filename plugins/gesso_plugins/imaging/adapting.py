"""What a job brings along for its model, LoRAs and controls by name: checked against the model, and what the engine is given of them."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest

if TYPE_CHECKING:
    from gesso.engine import Steer
    from gesso.model import ModelCard, Patch
    from gesso.plugin import JobContext, ResolveContext
    from gesso_plugins.imaging.params import GenerateParams

LARGEST = 10.0


def loras(ctx: ResolveContext, card: ModelCard, asked: Mapping[str, float]) -> dict[str, float]:
    """Canonical names in alphabetical order, which is the order that they are applied in; those of weight 0 are dropped."""
    found: dict[str, float] = {}
    for name, weight in asked.items():
        lora = adapter(ctx, card, name, "lora", "lora")
        if not (math.isfinite(weight) and abs(weight) <= LARGEST):
            raise InvalidRequest(f"The weight {weight:g} of the LoRA {name!r} is too large; weights go up to {LARGEST:g}.", field="lora")
        if weight:
            found[lora.name] = weight
    return dict(sorted(found.items()))


def controls(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, dict[str, Any]]:
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


def steers(ctx: JobContext, params: GenerateParams) -> Generator[Any, Any, tuple[Steer, ...]]:
    """The controls of a resolved job, their pictures read."""
    from gesso.engine import Host, Steer
    from gesso.media import images
    from gesso.model import Control, ModelRef

    found = []
    for name, blob in params.control.items():
        picture = yield Host(images.to_planes, (ctx.blob(blob.sha256), params.width, params.height))
        card = ctx.model(name)
        control = Control(ModelRef(card.name, card.digest), picture, params.control_strength[name])
        found.append(Steer(control, params.control_start[name], params.control_end[name]))
    return tuple(found)


def adapter(ctx: ResolveContext, card: ModelCard, name: str, kind: str, field: str) -> ModelCard:
    """The card of something that goes with a model; InvalidRequest where it is of another kind or was made for another base."""
    try:
        found = ctx.model(name, capability=kind)
    except InvalidRequest as fault:
        raise InvalidRequest(fault.message, field=field) from fault
    if found.base and card.base and found.base != card.base:
        raise InvalidRequest(
            f"{name!r} was made for models of the kind {found.base}; {card.name!r} is of the kind {card.base}.",
            field=field,
            hint=f"Leave it out, or choose a model of the kind {found.base}.",
        )
    return found


def patches(ctx: JobContext, params: GenerateParams) -> tuple[Patch, ...]:
    """The LoRAs and learned words of a resolved job."""
    from gesso.model import Autoencoder, Embedding, Lora, ModelRef

    def ref(name: str) -> ModelRef:
        card = ctx.model(name)
        return ModelRef(card.name, card.digest)

    loras = (Lora(ref(name), weight) for name, weight in params.lora.items())
    own = () if params.vae is None else (Autoencoder(ref(params.vae)),)
    return (*own, *loras, *(Embedding(ref(name), name) for name in params.embedding))


def short_hashes(ctx: JobContext, asked: Mapping[str, float]) -> dict[str, str]:
    """What the peers know the LoRAs of a resolved job by."""
    return {name: short for name in asked if (short := ctx.model(name).info.get("short_hash"))}
