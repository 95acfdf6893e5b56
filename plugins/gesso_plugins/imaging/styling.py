"""Puts a request into a style: its words around the request's, its settings where the request has none. Nothing is left to resolve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from gesso.errors import InvalidRequest
from gesso_plugins.imaging.params import GenerateParams

if TYPE_CHECKING:
    from gesso.plugin import ResolveContext

_CHOOSES = frozenset({"width", "height", "steps", "guidance", "guidance_rescale", "sampler", "schedule"})


def styled(ctx: ResolveContext, params: GenerateParams) -> GenerateParams:
    """The parameters that say in full what the style meant, so that a picture can be made again when the style has changed."""
    if params.style_preset is None:
        return params
    style = ctx.style(params.style_preset)
    unknown = sorted(style.params.keys() - _CHOOSES)
    if unknown:
        raise InvalidRequest(
            f"The style {style.name!r} sets {unknown[0]!r}; a style may set {', '.join(sorted(_CHOOSES))}.", field="style_preset"
        )
    given = params.model_dump(exclude_defaults=True)
    words = {
        "prompt": style.words(params.prompt),
        "negative": style.against(params.negative),
        "region": {style.words(said): mask for said, mask in params.region.items()},
        "style_preset": None,
    }
    try:
        return GenerateParams.model_validate({**style.params, **given, **words})
    except ValidationError as fault:
        said = fault.errors(include_url=False)[0]
        raise InvalidRequest(f"The style {style.name!r} cannot be used: {said['loc'][0]}: {said['msg']}.", field="style_preset") from fault
