"""The operations that redo a picture as a whole: `vary` makes others like it, `instruct` does to it what words say. `generate` paints."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, ClassVar

from gesso.engine import All, Host
from gesso.errors import InvalidRequest
from gesso.media import Output
from gesso.model import ModelCard
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.likeness import MOVES, moves
from gesso.plugin.sampling import check_seeds, sampled, settled_sampling
from gesso.plugin.steering import STEERING, check_regions, controls, reference
from gesso_plugins.edit.boxes import Box
from gesso_plugins.edit.edit import PAINTS
from gesso_plugins.edit.region import warn_of_tables
from gesso_plugins.edit.steering import Frame, Steering, files, steering
from gesso_plugins.edit.whole import Whole, brought_back, shown
from gesso_plugins.edit.whole_params import InstructParams, VaryParams

PASSED_ON = ("prompt", "negative", "model", "seed", "count", "steps", "guidance", "sampler", "schedule", "options")
TOKENS = ("temperature", "top_k", "top_p")

FREEST = 1.5
"""By embedding, the picture is heard with this less the strength: as it is at the default."""


class Vary:
    """Makes variations of a picture: near ones at a low strength, free ones at a high. Any model that can start from a picture will do."""

    name: ClassVar[str] = "vary"
    title: ClassVar[str] = "Vary"
    Params: ClassVar[type[OperationParams]] = VaryParams

    def resolve(self, ctx: ResolveContext, params: VaryParams) -> VaryParams:
        """The model and what it samples with."""
        check_seeds(params)
        if any(getattr(params, name) is not None for name in MOVES) or _views(ctx, params):
            return _by_embedding(ctx, params)
        card = ctx.model(params.model, capability="encode_image")
        if not card.capabilities & PAINTS:
            raise InvalidRequest(f"The model {card.name!r} cannot paint over a picture.", field="model", hint="Choose another model.")
        check_regions(params)
        how = settled_sampling(ctx, card, params)
        steered = controls(ctx, card, params)
        adapter = _embedder(ctx, card, params, steered["control"])
        return params.model_copy(update={"model": card.name, "adapter": adapter, **how, **steered})

    def run(self, ctx: JobContext, params: VaryParams) -> Generator[Any, Any, list[Output]]:
        """All variations in one run of `generate`."""
        whole: Whole = yield Host(shown, (ctx.blob(params.image.sha256), ctx.model(params.model), params.tile))
        if "view" in ctx.model(params.model).capabilities:
            return (yield from _redone(ctx, params, whole, (yield from _moved(ctx, params, whole))))
        size, (height, width) = whole.document.size, whole.seen.shape[:2]
        found: Steering = yield Host(steering, (*files(ctx, params), Frame(size, size, 0, 0, Box(0, 0, *size))))
        how = {name: getattr(params, name) for name in ("strength", "tile", *TOKENS, "control_strength", "control_start", "control_end")}
        how |= found.shown(ctx, params, (width, height), params.tile)
        if params.adapter is not None:
            how["control"] = {**how["control"], params.adapter: ctx.keep(whole.seen)}
            how["control_strength"] = {**how["control_strength"], params.adapter: FREEST - params.strength}
            how |= {"image": None, "strength": None}
        return (yield from _redone(ctx, params, whole, how))


def _views(ctx: ResolveContext, params: VaryParams) -> bool:
    """Whether the model that was named makes pictures of embeddings."""
    return params.model is not None and "view" in ctx.model(params.model).capabilities


def _by_embedding(ctx: ResolveContext, params: VaryParams) -> VaryParams:
    """Variations of what a model with the capability `view` sees; what is checked across fields, `generate` checks."""
    card = ctx.model(params.model, capability="view")
    for name in (*STEERING, "adapter"):
        if getattr(params, name) not in (None, {}):
            raise InvalidRequest(
                f"The model {card.name!r} makes pictures of embeddings and takes no {name}.", field=name, hint="Choose another model."
            )
    moves(params)
    return params.model_copy(update={"model": card.name, "by": "embedding", **sampled(ctx, card, params)})


def _moved(ctx: JobContext, params: VaryParams, whole: Whole) -> Generator[Any, Any, dict[str, Any]]:
    """What `generate` is told of embeddings; the other picture is read as the first."""
    how: dict[str, Any] = {"image": None, "tile": params.tile, "like": ctx.keep(whole.seen)}
    how |= {"strength": params.strength if moves(params) else None, "from_text": params.from_text, "to_text": params.to_text}
    if params.toward is not None:
        other: Whole = yield Host(shown, (ctx.blob(params.toward.sha256), ctx.model(params.model), params.tile))
        how["toward"] = ctx.keep(other.seen)
    return how


def _embedder(ctx: ResolveContext, card: ModelCard, params: VaryParams, control: Mapping[str, Any]) -> str | None:
    """The IP-Adapter that says what the picture shows, where variations are made by that."""
    if params.by == "strength":
        if params.adapter is not None:
            raise InvalidRequest("An IP-Adapter varies by embedding.", field="adapter", hint="Say `by` embedding, or leave it out.")
        return None
    found = reference(ctx, card, params.adapter).name
    if found in control:
        raise InvalidRequest(f"The IP-Adapter {found!r} is shown another picture.", field="control", hint="Leave one of the two out.")
    return found


class Instruct:
    """Does to a picture what words say, such as "make it snowy". It takes a model that was trained to follow instructions."""

    name: ClassVar[str] = "instruct"
    title: ClassVar[str] = "Instruct"
    Params: ClassVar[type[OperationParams]] = InstructParams

    def resolve(self, ctx: ResolveContext, params: InstructParams) -> InstructParams:
        """The model and what it samples with; a model that brings its own program has its sampler built in."""
        check_seeds(params)
        card = ctx.model(params.model, capability="instruct")
        return params.model_copy(update={"model": card.name, **settled_sampling(ctx, card, params)})

    def run(self, ctx: JobContext, params: InstructParams) -> Generator[Any, Any, list[Output]]:
        """All results in one run of `generate`."""
        whole: Whole = yield Host(shown, (ctx.blob(params.image.sha256), ctx.model(params.model)))
        return (yield from _redone(ctx, params, whole, {}))


def _redone(ctx: JobContext, params: Any, whole: Whole, how: Mapping[str, Any]) -> Generator[Any, Any, list[Output]]:
    card = ctx.model(params.model)
    warn_of_tables(ctx, whole.document)
    height, width = whole.seen.shape[:2]
    asked: dict[str, Any] = {name: getattr(params, name) for name in PASSED_ON}
    asked |= {"width": width, "height": height, "bits": 8 if "paint" in card.capabilities else 16, "image": ctx.keep(whole.seen)}
    made = yield from ctx.operation("generate", {**asked, **how})
    pixels = yield All(*(Host(brought_back, (whole, output.pixels)) for output in made))
    return [
        Output(
            pixels=back,
            role="image",
            index=output.index,
            seed=output.seed,
            params=params.model_copy(update={"count": 1, "seed": output.seed}).model_dump(mode="json"),
            model=output.model,
            info={
                "labels": output.info.get("labels", {}),
                "measured": {"working_size": [width, height], **output.info.get("measured", {})},
            },
            kind=whole.document.returned,
            profile=whole.document.profile,
        )
        for output, back in zip(made, pixels, strict=True)
    ]
