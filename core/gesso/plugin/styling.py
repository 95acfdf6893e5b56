"""Puts a request into a style: its words around the request's, its settings where the request has none. Nothing is left to resolve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from gesso.errors import InvalidRequest
from gesso.plugin.operations import OperationParams

if TYPE_CHECKING:
    from gesso.plugin.context import ResolveContext

_CHOOSES = frozenset({"width", "height", "steps", "guidance", "guidance_rescale", "sampler", "schedule"})
P = TypeVar("P", bound=OperationParams)


def styled(ctx: ResolveContext, params: P) -> P:
    """The parameters that say in full what the style meant, so that a picture can be made again when the style has changed.

    ``params`` has ``style_preset``, ``prompt``, ``negative`` and ``region``. What a style chooses and the operation has no field for (the
    size of a picture that is there already) is left out.
    """
    asked: dict[str, Any] = dict(params)
    if asked["style_preset"] is None:
        return params
    style = ctx.style(asked["style_preset"])
    unknown = sorted(style.params.keys() - _CHOOSES)
    if unknown:
        raise InvalidRequest(
            f"The style {style.name!r} sets {unknown[0]!r}; a style may set {', '.join(sorted(_CHOOSES))}.", field="style_preset"
        )
    chosen = {name: value for name, value in style.params.items() if name in asked}
    words = {
        "prompt": style.words(asked["prompt"]),
        "negative": style.against(asked["negative"]),
        "region": {style.words(said): mask for said, mask in asked["region"].items()},
        "style_preset": None,
    }
    try:
        return type(params).model_validate({**chosen, **params.model_dump(exclude_defaults=True), **words})
    except ValidationError as fault:
        said = fault.errors(include_url=False)[0]
        raise InvalidRequest(f"The style {style.name!r} cannot be used: {said['loc'][0]}: {said['msg']}.", field="style_preset") from fault
