"""The operation `cutout`: takes the background away from what a rough mask covers, or from what words name. A model is needed for words
alone.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from gesso.engine import Apply, Host, Load, ModelRef
from gesso.errors import InvalidRequest
from gesso.media import Output
from gesso.media.images import Picture
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso_plugins.edit.cutout_params import CutoutParams
from gesso_plugins.edit.matte.cut import Cut, cut
from gesso_plugins.edit.matte.subject import band_of, marked, shown

SEGMENTS = "segment"


class Cutout:
    """Takes the background away: finds the edge of what a rough mask covers, and takes the background's colour out of it."""

    name: ClassVar[str] = "cutout"
    title: ClassVar[str] = "Remove the background"
    Params: ClassVar[type[OperationParams]] = CutoutParams

    def resolve(self, ctx: ResolveContext, params: CutoutParams) -> CutoutParams:
        """The model, where words are given; the picture itself is looked at when the job runs."""
        if params.subject is None:
            if params.model is not None:
                raise InvalidRequest("A model looks for a subject, and none is given.", field="model", hint="Give a subject, or no model.")
            return params
        if params.mask is not None:
            raise InvalidRequest("What is kept is said by a mask and by words.", field="subject", hint="Give one of them.")
        return params.model_copy(update={"model": ctx.model(params.model, capability=SEGMENTS).name})

    def run(self, ctx: JobContext, params: CutoutParams) -> Generator[Any, Any, list[Output]]:
        """One picture with an alpha, or its matte."""
        image = ctx.blob(params.image.sha256)
        mask: Picture | None = None if params.mask is None else ctx.blob(params.mask.sha256)
        if params.subject is not None:
            mask, band = yield from _found(ctx, image, params)
            params = params.model_copy(update={"band": params.band or band})
        made: Cut = yield Host(cut, (image, mask, params))
        document, box = made.document, made.box
        measured = {
            "box": None if box is None else [box.x, box.y, box.width, box.height],
            "band": made.band,
            "unknown": made.unknown,
        }
        return [
            Output(
                pixels=made.pixels,
                role="image",
                index=0,
                seed=0,
                params=params.model_dump(mode="json"),
                model=params.model or "",
                info={"measured": measured},
                kind=document.returned,
                profile=document.profile,
            )
        ]


def _found(ctx: JobContext, image: Picture, params: CutoutParams) -> Generator[Any, Any, tuple[Picture, int]]:
    """A rough mask of the subject, and how wide a band its edge needs."""
    card = ctx.model(params.model)
    model = ModelRef(card.name, card.digest)
    yield Load(model)
    seen = yield Host(shown, (image,))
    found = (yield Apply(model, SEGMENTS, {"picture": seen, "words": params.subject})).numpy()
    size = (seen.shape[1], seen.shape[0])
    mask = yield Host(marked, (found, size, params.sureness, params.subject))
    return mask, band_of(found, size)
