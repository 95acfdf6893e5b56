"""What a job brings along for its model, LoRAs and controls by name: checked against the model, and what the engine is given of them."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest
from gesso.plugin.steering import LARGEST, adapter

if TYPE_CHECKING:
    from gesso.engine import Steer
    from gesso.model import ModelCard, Patch
    from gesso.plugin import JobContext, ResolveContext
    from gesso_plugins.imaging.params import GenerateParams


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


def steers(ctx: JobContext, params: GenerateParams) -> Generator[Any, Any, tuple[Steer, ...]]:
    """The controls of a resolved job, their pictures read."""
    from gesso.engine import Host, Steer
    from gesso.media import images
    from gesso.model import Control, ModelRef

    found, hears = [], ctx.model(params.model).hears
    for name, blob in params.control.items():
        picture = yield Host(images.to_planes, (ctx.blob(blob.sha256), params.width, params.height))
        card = ctx.model(name)
        layer = hears.get(params.control_part.get(name, "all"), "")
        control = Control(ModelRef(card.name, card.digest), picture, params.control_strength[name], layer)
        found.append(Steer(control, params.control_start[name], params.control_end[name]))
    return tuple(found)


def parts(ctx: ResolveContext, card: ModelCard, params: GenerateParams, names: Mapping[str, Any]) -> dict[str, str]:
    """What of each reference among the controls ``names`` is heard, where not all; InvalidRequest where that cannot be told apart."""
    found: dict[str, str] = {}
    for asked, part in params.control_part.items():
        name = ctx.model(asked).name
        if name not in names or "reference" not in ctx.model(name).capabilities:
            said = f"There is no reference {asked!r} in this job that could be heard in part."
            raise InvalidRequest(said, field="control_part", hint="Give its picture with `control`; only IP-Adapters are references.")
        if part != "all" and part not in card.hears:
            raise InvalidRequest(
                f"It is not known which layer of the model {card.name!r} takes the {part} of a reference alone.",
                field="control_part",
                hint="Take a model of the kind sdxl, or let all of it be heard.",
            )
        found[name] = part
    return {name: part for name, part in found.items() if part != "all"}


def patches(ctx: JobContext, params: GenerateParams) -> tuple[Patch, ...]:
    """The LoRAs and learned words of a resolved job."""
    from gesso.model import Autoencoder, Embedding, Lora, ModelRef

    def ref(name: str) -> ModelRef:
        card = ctx.model(name)
        return ModelRef(card.name, card.digest)

    loras = (Lora(ref(name), weight) for name, weight in params.lora.items())
    own = () if params.vae is None else (Autoencoder(ref(params.vae)),)
    return (*own, *loras, *(Embedding(ref(name), name) for name in params.embedding))


def looked_through(ctx: JobContext, params: GenerateParams, own: tuple[Patch, ...]) -> tuple[Patch, ...]:
    """The patches with which a picture is decoded to be judged: the job's ``own``, with the autoencoder of drafts if it has one."""
    from gesso.model import Autoencoder, ModelRef

    if params.preview_vae is None:
        return own
    card = ctx.model(params.preview_vae)
    return (Autoencoder(ModelRef(card.name, card.digest)), *(patch for patch in own if not isinstance(patch, Autoencoder)))


def short_hashes(ctx: JobContext, asked: Mapping[str, float]) -> dict[str, str]:
    """What the peers know the LoRAs of a resolved job by."""
    return {name: short for name in asked if (short := ctx.model(name).info.get("short_hash"))}
