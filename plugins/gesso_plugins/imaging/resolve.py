"""From what was asked to what will run: fills the model's defaults and checks across fields. Pure; no model is loaded, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest
from gesso.plugin.choosing import settled
from gesso.plugin.fields import SEED_MAX
from gesso_plugins.imaging.adapting import adapter, controls, loras
from gesso_plugins.imaging.guiding import SCALE, extra_guidance
from gesso_plugins.imaging.params import GenerateParams
from gesso_plugins.imaging.styling import styled

if TYPE_CHECKING:
    from gesso.model import ModelCard
    from gesso.plugin import ResolveContext

DEFAULT_STRENGTH = 0.6
_SAMPLING = ("sampler", "schedule", "steps", "guidance")
_GUIDING = ("guidance_rescale", "guidance_schedule", "guidance_start", "guidance_end", "guidance_extra")


def resolve_generate(ctx: ResolveContext, params: GenerateParams) -> GenerateParams:
    """Complete, canonical parameters; resolving them again changes nothing."""
    params = styled(ctx, params)
    card = ctx.model(params.model)
    if params.image is not None and not card.capabilities >= {"paint", "instruct"}:
        card = ctx.model(params.model, capability="encode_image")
    if not card.capabilities & {"denoise", "paint", "render"}:
        raise InvalidRequest(f"The model {card.name!r} cannot make pictures from text.", field="model")
    if params.seed is None:
        raise InvalidRequest("The seed is missing. A job's seed is chosen before it is resolved.", field="seed")
    if params.seed + params.count - 1 > SEED_MAX:
        raise InvalidRequest(f"The seed of the last picture would be over {SEED_MAX}; choose a smaller seed.", field="seed")
    _check_options(card, params)
    width, height = card.size(params.width, params.height)
    filled = {"model": card.name, "width": width, "height": height}
    how = next(how for capability, how in _WAYS.items() if capability in card.capabilities)
    return params.model_copy(update={**filled, **how(ctx, card, params), **settled(ctx, params)})


def _sampled(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    sampler, schedule = ctx.sampling(params.sampler or card.defaults.sampler, params.schedule)
    guidance = card.defaults.guidance if params.guidance is None else params.guidance
    extra = extra_guidance(ctx, card, params.guidance_extra)
    if params.negative.strip() and card.embeds_guidance and SCALE not in extra:
        ctx.warn(f"The model {card.name!r} takes guidance as an input: a negative prompt is heard only with guidance_extra.{SCALE}.")
    elif params.negative.strip() and guidance == 1 and not card.embeds_guidance:
        ctx.warn("The negative prompt has no effect at guidance 1.")
    if params.image is None and params.strength is not None:
        raise InvalidRequest(
            "A strength was given without an image to start from.", field="strength", hint="Give an image, or leave it out."
        )
    if params.guidance_start >= params.guidance_end:
        raise InvalidRequest("Guidance would end before it starts.", field="guidance_end", hint="Choose an end after the start.")
    if params.image is None and params.mask is not None:
        raise InvalidRequest("A mask was given without an image to paint in.", field="mask", hint="Give an image, or leave it out.")
    strength = params.strength
    if params.image is not None and strength is None and "instruct" not in card.capabilities:
        strength = DEFAULT_STRENGTH if params.mask is None else 1.0
    return {
        "sampler": sampler,
        "schedule": ctx.schedule(schedule or card.defaults.schedule).name,
        "steps": card.defaults.steps if params.steps is None else params.steps,
        "guidance": guidance,
        "guidance_extra": extra,
        "strength": strength,
        "lora": loras(ctx, card, params.lora),
        "embedding": sorted({adapter(ctx, card, name, "embedding", "embedding").name for name in params.embedding}),
        "vae": None if params.vae is None else adapter(ctx, card, params.vae, "vae", "vae").name,
        **controls(ctx, card, params),
    }


def _painted(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    """A model that paints by a program of its own has its sampler and schedule built in."""
    follows = "instruct" in card.capabilities
    if follows and params.image is None:
        raise InvalidRequest(
            f"The model {card.name!r} changes a picture by words and was given none.", field="image", hint="Give an image."
        )
    _text_only(card, params.model_copy(update={"image": None}) if follows else params)
    if params.tile != "none":
        raise InvalidRequest(
            f"The model {card.name!r} is run by a program of its own and cannot make seamless pictures.",
            field="tile",
            hint="Choose another model.",
        )
    dropped = _without(ctx, card, params, ("sampler", "schedule"), _GUIDING)
    steps, guidance = params.steps, params.guidance
    own = {"steps": card.defaults.steps if steps is None else steps, "guidance": card.defaults.guidance if guidance is None else guidance}
    return {**dropped, **own}


def _rendered(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    """A model that renders in one go has no use for the sampling fields; it says so and drops them."""
    _text_only(card, params)
    return _without(ctx, card, params, _SAMPLING, (*_GUIDING, "negative"))


_WAYS = {"denoise": _sampled, "paint": _painted, "render": _rendered}


def _text_only(card: ModelCard, params: GenerateParams) -> None:
    for name in ("image", "strength", "mask", "lora", "embedding", "vae", "control"):
        if getattr(params, name) not in (None, {}, []):
            raise InvalidRequest(
                f"The model {card.name!r} makes pictures from text only and takes no {name}.",
                field=name,
                hint="Choose another model.",
            )
    if params.prune:
        raise InvalidRequest(
            f"The model {card.name!r} shows no picture on its way that could be judged.", field="prune", hint="Leave it out."
        )


def _without(
    ctx: ResolveContext, card: ModelCard, params: GenerateParams, unset: tuple[str, ...], plain: tuple[str, ...]
) -> dict[str, Any]:
    """Fields that the model does not use, ``unset`` to None and ``plain`` to their defaults; says which of them were given."""
    defaults = {**dict.fromkeys(unset), **{name: GenerateParams.model_fields[name].default for name in plain}}
    unused = [name for name, default in defaults.items() if getattr(params, name) not in (default, None)]
    if unused:
        ctx.warn(f"The model {card.name!r} renders directly and does not use {', '.join(unused)}.")
    return defaults


def _check_options(card: ModelCard, params: GenerateParams) -> None:
    for family, options in params.options.items():
        if family != card.family:
            raise InvalidRequest(
                f"Options for the family {family!r} were given, but the model {card.name!r} is of the family {card.family!r}.",
                field=f"options.{family}",
            )
        for name in options:
            if name not in card.options:
                allowed = f"it takes {', '.join(card.options)}" if card.options else "it takes none"
                raise InvalidRequest(f"The family {family!r} has no option {name!r}; {allowed}.", field=f"options.{family}.{name}")
