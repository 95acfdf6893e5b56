"""From what was asked to what will run: fills the model's defaults and checks across fields. Pure; no model is loaded, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest
from gesso.plugin.choosing import settled
from gesso.plugin.sampling import check_seeds, drawn, sampled
from gesso.plugin.steering import adapter, check_regions, controls
from gesso.plugin.styling import styled
from gesso_plugins.imaging.adapting import loras, parts
from gesso_plugins.imaging.guiding import SCALE, extra_guidance
from gesso_plugins.imaging.likeness import LIKENESS, cascade_options, check_likeness
from gesso_plugins.imaging.params import LARGEST, GenerateParams

if TYPE_CHECKING:
    from gesso.model import ModelCard
    from gesso.plugin import ResolveContext

DEFAULT_STRENGTH = 0.6
_TOKENS = ("temperature", "top_k", "top_p")
_STARTING = ("image", "strength", "mask")
_SAMPLING = ("sampler", "schedule", "steps", "guidance")
_ALIGNING = ("align", "align_seed", "align_prompt")
_GUIDING = ("guidance_rescale", "guidance_schedule", "guidance_start", "guidance_end", "guidance_extra")


def resolve_generate(ctx: ResolveContext, params: GenerateParams) -> GenerateParams:
    """Complete, canonical parameters; resolving them again changes nothing."""
    params = styled(ctx, params)
    moved = next((name for name in LIKENESS if getattr(params, name) is not None), None)
    card = ctx.model(params.model) if moved is None else ctx.model(params.model, capability="view")
    if params.image is not None and not card.capabilities >= {"paint", "instruct"}:
        card = ctx.model(params.model, capability="encode_image")
    if not card.capabilities & _WAYS.keys():
        raise InvalidRequest(f"The model {card.name!r} cannot make pictures from text.", field="model")
    if not (params.prompt.strip() or params.image or params.control or params.like):
        raise InvalidRequest("The prompt is empty.", field="prompt", hint="Say what is to be seen, or give an image to start from.")
    check_seeds(params)
    _check_options(card, params)
    windowed = params.window is not None and "denoise" in card.capabilities
    width, height = (_unlimited(card) if windowed else card).size(params.width, params.height)
    filled = {"model": card.name, "width": width, "height": height}
    how = next(how for capability, how in _WAYS.items() if capability in card.capabilities)
    return params.model_copy(update={**filled, **how(ctx, card, params), **settled(ctx, params)})


def _unlimited(card: ModelCard) -> ModelCard:
    """The same, as if it could make pictures of any size."""
    return replace(card, limits=replace(card.limits, largest=LARGEST))


def _window(card: ModelCard, params: GenerateParams) -> int | None:
    """The window, where the picture is larger; InvalidRequest for one that the model cannot make, or with what cannot be cut."""
    if params.window is None:
        return None
    card.size(params.window, params.window)
    for name in ("mask", "control", "region", "prune", "draft"):
        if getattr(params, name) not in (None, {}, []):
            raise InvalidRequest(f"A picture in windows takes no {name}.", field=name, hint="Leave one of the two out.")
    if card.extra_channels or "instruct" in card.capabilities:
        raise InvalidRequest(
            f"The model {card.name!r} looks at another picture, and cannot make one in windows.", field="window", hint="Leave it out."
        )
    return params.window


def _sampled(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    filled = sampled(ctx, card, params)
    guidance = filled["guidance"]
    extra = extra_guidance(ctx, card, params.guidance_extra)
    if params.negative.strip() and card.embeds_guidance and SCALE not in extra:
        ctx.warn(f"The model {card.name!r} takes guidance as an input: a negative prompt is heard only with guidance_extra.{SCALE}.")
    elif params.negative.strip() and guidance == 1 and not card.embeds_guidance:
        ctx.warn("The negative prompt has no effect at guidance 1.")
    strength = _strength(params)
    if params.guidance_start >= params.guidance_end:
        raise InvalidRequest("Guidance would end before it starts.", field="guidance_end", hint="Choose an end after the start.")
    _check_regions(ctx, params, extra)
    steps = card.defaults.steps if params.steps is None else params.steps
    if params.draft is not None and params.draft >= steps:
        raise InvalidRequest(f"A draft of {params.draft} steps saves nothing where {steps} are taken.", field="draft", hint="Take fewer.")
    steered = controls(ctx, card, params)
    return {
        **filled,
        **_without(ctx, card, params, _TOKENS, ()),
        "window": _window(card, params),
        **_lead(ctx, card, params, filled["sampler"]),
        "guidance_extra": extra,
        "strength": params.strength if "instruct" in card.capabilities else strength,
        "lora": loras(ctx, card, params.lora),
        "embedding": sorted({adapter(ctx, card, name, "embedding", "embedding").name for name in params.embedding}),
        "vae": None if params.vae is None else adapter(ctx, card, params.vae, "vae", "vae").name,
        "preview_vae": _preview_vae(ctx, card, params),
        **steered,
        "control_part": parts(ctx, card, params, steered["control"]),
    }


def _preview_vae(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> str | None:
    """What pictures are judged through before they are done, where they are; InvalidRequest for one that would judge none."""
    if not (params.prune or params.draft):
        if params.preview_vae is not None:
            raise InvalidRequest(
                "No picture is judged before it is done, so none is decoded for that.", field="preview_vae", hint="Add draft or prune."
            )
        return None
    name = params.preview_vae or (None if params.vae else card.defaults.preview_vae)
    return None if name is None else adapter(ctx, card, name, "vae", "preview_vae").name


def _strength(params: GenerateParams) -> float | None:
    """How much of the picture is redone, where there is one; InvalidRequest for what makes sense with one only."""
    if params.image is None and params.strength is not None:
        raise InvalidRequest(
            "A strength was given without an image to start from.", field="strength", hint="Give an image, or leave it out."
        )
    if params.image is None and params.mask is not None:
        raise InvalidRequest("A mask was given without an image to paint in.", field="mask", hint="Give an image, or leave it out.")
    if params.image is None or params.strength is not None:
        return params.strength
    return DEFAULT_STRENGTH if params.mask is None else 1.0


def _lead(ctx: ResolveContext, card: ModelCard, params: GenerateParams, sampler: str) -> dict[str, Any]:
    """Which picture the others follow; InvalidRequest for what cannot keep step with one."""
    if params.align == 0:
        if params.align_seed is not None or params.align_prompt is not None:
            raise InvalidRequest("A picture to follow was named, and align is 0.", field="align", hint="Give align, or leave it out.")
        return {}
    if not card.layers:
        raise InvalidRequest(
            f"The model {card.name!r} cannot let pictures follow one: only the attention of UNets can be shared.",
            field="align",
            hint="Choose a model with a UNet, such as Stable Diffusion XL, or leave it out.",
        )
    for name in ("window", "prune", "draft"):
        if getattr(params, name) not in (None, []):
            raise InvalidRequest(f"Pictures that follow one take no {name}.", field=name, hint="Leave one of the two out.")
    if ctx.sampler(sampler).evaluations == 0:
        raise InvalidRequest(
            f"The sampler {sampler!r} takes other steps for each picture, so that they cannot follow one.",
            field="sampler",
            hint="Choose one with a fixed number of steps.",
        )
    lead = {
        "align_seed": params.seed if params.align_seed is None else params.align_seed,
        "align_prompt": None if params.align_prompt == params.prompt else params.align_prompt,
    }
    if lead == {"align_seed": params.seed, "align_prompt": None} and params.count == 1 and params.best_of is None:
        ctx.warn("There is one picture and none that it could follow: align has no effect.")
    return lead


def _check_regions(ctx: ResolveContext, params: GenerateParams, extra: Mapping[str, Any]) -> None:
    """Regions have words, and no guidance beside them that judges the picture by one prompt."""
    check_regions(params)
    judged = next((name for name in extra if ctx.guidance(name).judge), None)
    if params.region and judged is not None:
        raise InvalidRequest(
            f"The guidance {judged!r} judges a picture by one prompt and takes no regions.",
            field="region",
            hint="Leave one of the two out.",
        )


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
    dropped = _without(ctx, card, params, ("sampler", "schedule", *_TOKENS), (*_GUIDING, *_ALIGNING, "bits", "window"))
    steps, guidance = params.steps, params.guidance
    own = {"steps": card.defaults.steps if steps is None else steps, "guidance": card.defaults.guidance if guidance is None else guidance}
    return {**dropped, **own}


def _rendered(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    """A model that renders in one go has no use for the sampling fields; it says so and drops them."""
    _text_only(card, params)
    return _without(ctx, card, params, (*_SAMPLING, *_TOKENS), (*_GUIDING, *_ALIGNING, "bits", "window", "negative"))


def _drawn(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    """A model that draws in one forward has no use for the sampling fields either, but for the depth of its picture."""
    _text_only(card, params)
    return _without(ctx, card, params, (*_SAMPLING, *_TOKENS), (*_GUIDING, *_ALIGNING, "window", "negative"))


def _unfolded(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    """A model that makes a picture in parts samples in each, with one scale of guidance and none of its refinements."""
    assert card.cascade is not None
    strength = check_likeness(card, params)
    _text_only(card, params.model_copy(update={"strength": None}))
    dropped = _without(ctx, card, params, _TOKENS, (*_GUIDING, *_ALIGNING, "window"))
    filled = sampled(ctx, card, params)
    if ctx.sampler(filled["sampler"]).evaluations == 0:
        raise InvalidRequest(
            f"The sampler {filled['sampler']!r} takes other steps for each picture; a model that makes pictures in parts counts them.",
            field="sampler",
            hint="Choose one with a fixed number of steps.",
        )
    return {**dropped, **filled, "strength": strength, "options": {card.family: cascade_options(card, params)}}


def _continued(ctx: ResolveContext, card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    """A model that draws tokens may keep some of a picture's, and has no use for the sampling of noise."""
    _text_only(card, params.model_copy(update=dict.fromkeys(_STARTING)), "and the tokens of one picture")
    dropped = _without(ctx, card, params, _SAMPLING, (*_GUIDING, *_ALIGNING, "window", "negative"))
    return {**dropped, **drawn(card, params), "strength": _strength(params)}


_WAYS = {
    "denoise": _sampled, "paint": _painted, "next_tokens": _continued, "draw": _drawn, "cascade": _unfolded, "render": _rendered,
}  # fmt: skip


def _text_only(card: ModelCard, params: GenerateParams, what: str = "only") -> None:
    for name in (*_STARTING, "lora", "embedding", "vae", "preview_vae", "control", "region"):
        if getattr(params, name) not in (None, {}, []):
            raise InvalidRequest(
                f"The model {card.name!r} makes pictures from text {what} and takes no {name}.",
                field=name,
                hint="Choose another model.",
            )
    for name in ("prune", "draft"):
        if getattr(params, name):
            raise InvalidRequest(
                f"The model {card.name!r} shows no picture on its way that could be judged.", field=name, hint="Leave it out."
            )


def _without(
    ctx: ResolveContext, card: ModelCard, params: GenerateParams, unset: tuple[str, ...], plain: tuple[str, ...]
) -> dict[str, Any]:
    """Fields that the model does not use, ``unset`` to None and ``plain`` to their defaults; says which of them were given."""
    defaults = {**dict.fromkeys(unset), **{name: GenerateParams.model_fields[name].default for name in plain}}
    unused = [name for name, default in defaults.items() if getattr(params, name) not in (default, None)]
    if unused:
        ctx.warn(f"The model {card.name!r} does not use {', '.join(unused)}.")
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
