"""The operation `style`: the look of pictures, or of a style in words, on the shapes of another picture."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from gesso.engine import All, Apply, Host, Load, ModelRef
from gesso.errors import InvalidRequest
from gesso.media import Output
from gesso.media.working import resized, to_float
from gesso.model import ModelCard
from gesso.model.features import CAPABILITY as FEATURES
from gesso.model.features import Look, Wanted, gram
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.choosing import alone
from gesso.plugin.sampling import check_seeds
from gesso.plugin.steering import reference
from gesso_plugins.style.canvas import Canvas, Pixels, array, finish, painted_size, prepare, read_style, tensor
from gesso_plugins.style.colour import keeping, reinhard
from gesso_plugins.style.measure import edge_correlation
from gesso_plugins.style.optimising import DEFAULT_STEPS, Search, optimised
from gesso_plugins.style.params import StyleParams

STYLISE = "stylise"
REPAINTS = frozenset({"encode_image", "denoise"})
REPAINTED = 0.6
"""Strength of a preset where none is given."""


class Style:
    """Gives a picture the look of another, or of a style in words, and keeps its shapes."""

    name: ClassVar[str] = "style"
    title: ClassVar[str] = "Style"
    Params: ClassVar[type[OperationParams]] = StyleParams

    def resolve(self, ctx: ResolveContext, params: StyleParams) -> StyleParams:
        """The model, and what goes together."""
        check_seeds(params)
        if bool(params.style) == (params.preset is not None):
            said = "A style is a picture or a preset, not both." if params.style else "There is no style: give a picture or a preset."
            raise InvalidRequest(said, field="style", hint="`gesso styles list` shows the presets.")
        if len(params.mask) not in (0, max(1, len(params.style))):
            said = f"There are {len(params.mask)} masks and {len(params.style)} styles."
            raise InvalidRequest(said, field="mask", hint="Give one mask for each style, in the same order, or none.")
        if params.method != "ip_adapter" and (params.adapter is not None or params.scale != 1.0):
            raise InvalidRequest("An IP-Adapter goes with the method ip_adapter.", field="adapter", hint="Leave it out, or say ip_adapter.")
        how = _words if params.preset is not None else _shown if params.method == "ip_adapter" else _pictures
        return params.model_copy(update=how(ctx, params))

    def run(self, ctx: JobContext, params: StyleParams) -> Generator[Any, Any, list[Output]]:
        """All results at once."""
        masks = [ctx.blob(mask.sha256) for mask in params.mask]
        canvas: Canvas = yield Host(prepare, (ctx.blob(params.image.sha256), masks, params.size, params.tile))
        if canvas.document.profile.matrix is None:
            ctx.warn(f"The colour profile {canvas.document.profile.name!r} is a table: what was made went through 8 bits.")
        styles = yield All(*(Host(read_style, (ctx.blob(style.sha256), params.size)) for style in params.style))
        return list((yield All(*(_result(ctx, params, canvas, styles, i) for i in range(params.count)))))


def _pictures(ctx: ResolveContext, params: StyleParams) -> dict[str, Any]:
    """How the look of pictures is taken."""
    if params.model is not None:
        raise InvalidRequest("A model repaints by a preset; the look of a picture takes a network.", field="model", hint="Leave it out.")
    if params.prompt.strip():
        raise InvalidRequest("Words go with a preset; a picture speaks for itself.", field="prompt", hint="Leave one of them out.")
    if params.steps is not None and params.method != "optimise":
        raise InvalidRequest(f"The method {params.method!r} takes no steps.", field="steps", hint="Leave them out, or say optimise.")
    if params.count > 1 and params.method != "transfer":
        raise InvalidRequest(f"The method {params.method!r} gives the same each time.", field="count", hint="Ask for one.")
    strength = 1.0 if params.strength is None else params.strength
    if params.method == "colours":
        return {"strength": strength}
    card = ctx.model(params.network, capability=STYLISE if params.method == "transfer" else FEATURES)
    steps = (params.steps or DEFAULT_STEPS) if params.method == "optimise" else None
    return {"network": card.name, "strength": strength, "steps": steps}


def _words(ctx: ResolveContext, params: StyleParams) -> dict[str, Any]:
    """Which model repaints in which style."""
    assert params.preset is not None
    if params.method != "transfer":
        raise InvalidRequest("A preset is repainted by a model; a method is for pictures.", field="method", hint="Leave it out.")
    return {"preset": ctx.style(params.preset).name, **_painter(ctx, params)[1]}


def _shown(ctx: ResolveContext, params: StyleParams) -> dict[str, Any]:
    """Which model repaints, shown the style by which IP-Adapter."""
    if len(params.style) > 1:
        raise InvalidRequest("An IP-Adapter is shown one picture.", field="style", hint="Give one, or choose another method.")
    card, painter = _painter(ctx, params)
    return {"adapter": reference(ctx, card, params.adapter).name, **painter}


def _painter(ctx: ResolveContext, params: StyleParams) -> tuple[ModelCard, dict[str, Any]]:
    """The model that repaints, and how much."""
    if params.network is not None:
        raise InvalidRequest("A network takes the look by itself; here a model repaints.", field="network", hint="Leave it out.")
    card = ctx.model(params.model, capability="encode_image")
    if not card.capabilities >= REPAINTS:
        raise InvalidRequest(f"The model {card.name!r} cannot repaint a picture.", field="model", hint="Choose another model.")
    return card, {"model": card.name, "strength": REPAINTED if params.strength is None else params.strength}


def _result(ctx: JobContext, params: StyleParams, canvas: Canvas, styles: tuple[Pixels, ...], index: int) -> Generator[Any, Any, Output]:
    assert params.seed is not None
    seed = params.seed + index
    measured: dict[str, Any] = {}
    if params.model is not None:
        made = yield from _repainted(ctx, params, canvas, styles, seed)
    elif params.method == "colours":
        made = yield Host(_recoloured, (canvas, styles, params.strength))
    else:
        made, measured = yield from _restyled(ctx, params, canvas, styles, index)
    kept = yield Host(keeping, (made, canvas.seen, params.preserve))
    measured |= {"edges": round((yield Host(edge_correlation, (canvas.seen, kept))), 4)}
    return Output(
        pixels=(yield Host(finish, (canvas, made, params.preserve))),
        role="image",
        index=index,
        seed=seed,
        params=alone(params, seed),
        model=params.model or params.network or "",
        info={"measured": measured},
        kind=canvas.document.returned,
        profile=canvas.document.profile,
        associated=canvas.document.associated,
    )


def _restyled(
    ctx: JobContext, params: StyleParams, canvas: Canvas, styles: tuple[Pixels, ...], index: int
) -> Generator[Any, Any, tuple[Pixels, dict[str, Any]]]:
    """By a network at once, or step by step; and how far the look is from the one wanted, before and after."""
    assert params.seed is not None
    assert params.strength is not None
    card = ctx.model(params.network)
    model = ModelRef(card.name, card.digest)
    yield Load(model)
    content, regions = tensor(canvas.seen), [tensor(region) for region in canvas.regions]
    looks = yield from _looks(model, styles, regions)
    shapes = yield Apply(model, "feature_maps", {"picture": content})
    wanted = Wanted(looks, (None,) * (len(shapes) - 2) + tuple(shapes[-2:]), params.content_weight)
    if params.method == "transfer":
        task = {"content": content, "styles": [tensor(style) for style in styles], "regions": regions, "tile": params.tile}
        made = yield Apply(model, STYLISE, {**task, "strength": params.strength, "seed": params.seed + index})
    else:

        def held(picture: Tensor) -> Tensor:
            return tensor(keeping(array(picture), canvas.seen, params.preserve))

        full = yield from optimised(model, content, Search(wanted, params.steps or DEFAULT_STEPS, held, index))
        made = content + params.strength * (full - content)
    before, after = yield All(*(Apply(model, "feature_distance", {"picture": each, "wanted": wanted}) for each in (content, made)))
    return array(made), {"look_before": round(before, 5), "look_after": round(after, 5)}


def _looks(model: ModelRef, styles: tuple[Pixels, ...], regions: list[Any]) -> Generator[Any, Any, tuple[Look, ...]]:
    """What the features are to have in common with each style; without regions, with their mean."""
    found = yield All(*(Apply(model, "feature_maps", {"picture": tensor(style)}) for style in styles))
    grams = [tuple(gram(level) for level in levels) for levels in found]
    if regions:
        return tuple(Look(own, region) for own, region in zip(grams, regions, strict=True))
    return (Look(tuple(sum(level[1:], level[0]) / len(level) for level in zip(*grams, strict=True))),)


def _repainted(ctx: JobContext, params: StyleParams, canvas: Canvas, styles: tuple[Pixels, ...], seed: int) -> Generator[Any, Any, Pixels]:
    """By a model that starts from the picture, told the style in words or shown it."""
    card = ctx.model(params.model)
    width, height = card.fitting(*painted_size(*canvas.document.size, params.size))
    asked: dict[str, Any] = {"prompt": params.prompt, "style_preset": params.preset, "model": card.name, "strength": params.strength}
    asked |= {"width": width, "height": height, "seed": seed, "tile": params.tile, "steps": params.steps}
    if params.adapter is not None:
        asked |= {"control": {params.adapter: ctx.keep(styles[0])}, "control_strength": {params.adapter: params.scale}}
        asked |= {"control_part": {params.adapter: "style" if "style" in card.hears else "all"}}
    (output,) = yield from ctx.operation("generate", {**asked, "image": ctx.keep(resized(canvas.seen, (width, height), params.tile))})
    return resized(to_float(output.pixels[..., :3]), (canvas.seen.shape[1], canvas.seen.shape[0]), params.tile)


def _recoloured(canvas: Canvas, styles: tuple[Pixels, ...], strength: float) -> Pixels:
    """The colours alone, each style's where it goes."""
    if not canvas.regions:
        new = np.mean([reinhard(canvas.seen, style) for style in styles], 0)
        return np.asarray(canvas.seen + strength * (new - canvas.seen), np.float32)
    made, crowd = canvas.seen.copy(), np.maximum(np.sum(canvas.regions, 0), 1)[..., None]
    for style, region in zip(styles, canvas.regions, strict=True):
        made += strength * region[..., None] / crowd * (reinhard(canvas.seen, style, region) - canvas.seen)
    return np.asarray(np.clip(made, 0, 1), np.float32)
