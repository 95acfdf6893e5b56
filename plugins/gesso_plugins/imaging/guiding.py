"""The guidances of a job: what was asked for, checked and completed, and the guides made of it. It knows the names of two: the scale and
the rescale that `generate` has fields for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gesso.errors import InvalidRequest
from gesso_plugins.imaging.params import GenerateParams

if TYPE_CHECKING:
    from gesso.engine import Guide
    from gesso.model import ModelCard
    from gesso.plugin import GuidanceSpec, JobContext, ResolveContext

SCALE, RESCALE = "classifier_free", "rescale"
_OWN = {SCALE: "guidance", RESCALE: "guidance_rescale"}


class Heard(BaseModel):
    """The fractions of the steps between which a guidance is heard; every guidance has these two options."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    start: float = Field(0.0, ge=0, le=1)
    end: float = Field(1.0, ge=0, le=1)


def extra_guidance(ctx: ResolveContext, card: ModelCard, asked: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every guidance with all its options, under its canonical name. A number alone is the scale."""
    found: dict[str, dict[str, Any]] = {}
    for name, given in _named(ctx, asked):
        spec = ctx.guidance(name)
        field = f"guidance_extra.{name}"
        if spec.name in _OWN and not (spec.name == SCALE and card.embeds_guidance):
            raise InvalidRequest(f"{spec.title} has a field of its own.", field=field, hint=f"Use `{_OWN[spec.name]}`.")
        if spec.name in found:
            raise InvalidRequest(f"The guidance {spec.name!r} was asked for twice.", field=field)
        options = dict(given) if isinstance(given, Mapping) else {"scale": given}
        heard = _checked(Heard, {key: options.pop(key) for key in ("start", "end") if key in options}, field)
        if heard["start"] >= heard["end"]:
            raise InvalidRequest(f"The guidance {spec.name!r} would end before it starts.", field=f"{field}.end")
        complete = _checked(spec.options, options, field)
        if "layers" in complete:
            complete["layers"] = _layers(card, complete["layers"], f"{field}.layers")
        if spec.judge:
            complete["judge"] = _judge(ctx, spec, complete.get("judge"), f"{field}.judge").name
        found[spec.name] = {**complete, **heard}
    return found


def _named(ctx: ResolveContext, asked: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a stranger's plugin provides is called ``plugin.name``; the command line, where dots nest, sends that as a table in a table."""
    for name, given in asked.items():
        inner = {f"{name}.{key}": value for key, value in given.items()} if isinstance(given, Mapping) else {}
        if _known(ctx, name) or not any(_known(ctx, nested) for nested in inner):
            yield name, given
        else:
            yield from inner.items()


def _known(ctx: ResolveContext, name: str) -> bool:
    try:
        ctx.guidance(name)
    except InvalidRequest:
        return False
    return True


def guides(ctx: JobContext, card: ModelCard, params: GenerateParams) -> list[Guide]:
    """The guides of a resolved job, in the order that their specs declare. A network that takes the scale as an input needs no guide for
    it; the classifier-free one can be asked for beside it.
    """
    from gesso.engine import Guide, ModelRef

    wanted: dict[str, dict[str, Any]] = {name: dict(options) for name, options in params.guidance_extra.items()}
    if params.guidance != 1 and not card.embeds_guidance:
        heard = {"start": params.guidance_start, "end": params.guidance_end}
        wanted[SCALE] = {"scale": params.guidance, "schedule": params.guidance_schedule, **heard}
    if params.guidance_rescale > 0:
        wanted[RESCALE] = {"phi": params.guidance_rescale}
    specs = sorted((ctx.guidance(name) for name in wanted), key=lambda spec: (spec.order, spec.name))
    made = []
    for spec in specs:
        options = wanted[spec.name]
        start, end = options.pop("start", 0.0), options.pop("end", 1.0)
        checked = spec.options(**options)  # lists of JSON become the tuples that guidances are written for
        judge = _judge(ctx, spec, options["judge"], f"guidance_extra.{spec.name}.judge") if spec.judge else None
        ref = None if judge is None else ModelRef(judge.name, judge.digest)
        made.append(Guide(spec.name, spec.function, dict(checked), start, end, ref))
    return made


def _judge(ctx: ResolveContext, spec: GuidanceSpec, named: str | None, field: str) -> ModelCard:
    try:
        return ctx.model(named or ctx.options("guidances", spec.name).get("model"), capability=spec.judge)
    except InvalidRequest as fault:
        raise InvalidRequest(fault.message, field=field, hint=fault.hint) from fault


def _checked(kind: type[BaseModel], options: Mapping[str, Any], field: str) -> dict[str, Any]:
    try:
        return kind(**options).model_dump(mode="json")
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
        option = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            takes = ", ".join([*kind.model_fields, *Heard.model_fields])
            raise InvalidRequest(f"This guidance has no option {option!r}; it takes {takes}.", field=f"{field}.{option}") from fault
        raise InvalidRequest(f"The option {option!r} cannot be used: {first['msg']}.", field=f"{field}.{option}") from fault


def _layers(card: ModelCard, asked: list[str], field: str) -> list[str]:
    """Names of the model's layers. A part of a name that ends at a dot stands for all layers in it (``mid_block``). What lies within a
    layer (``mid_block.attentions.0.transformer_blocks.3``) only the network knows, and refuses itself.
    """
    if not card.layers:
        raise InvalidRequest(
            f"The model {card.name!r} has no layers that guidance could perturb.", field=field, hint="Choose another model."
        )
    if not asked:
        return [card.layers[0]]
    found: dict[str, None] = {}
    for name in asked:
        meant = [layer for layer in card.layers if layer == name or layer.startswith(f"{name}.")]
        if any(name.startswith(f"{layer}.") for layer in card.layers):
            meant = [name]
        if not meant:
            raise InvalidRequest(f"The model {card.name!r} has no layer {name!r}; it has {', '.join(card.layers)}.", field=field)
        found.update(dict.fromkeys(meant))
    return list(found)
