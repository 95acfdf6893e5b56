"""The operation `cutout`: takes the background away from what a rough mask covers. It needs no model."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from gesso.engine import Host
from gesso.media import Output
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso_plugins.edit.cutout_params import CutoutParams
from gesso_plugins.edit.matte.cut import Cut, cut


class Cutout:
    """Takes the background away: finds the edge of what a rough mask covers, and takes the background's colour out of it."""

    name: ClassVar[str] = "cutout"
    title: ClassVar[str] = "Remove the background"
    Params: ClassVar[type[OperationParams]] = CutoutParams

    def resolve(self, ctx: ResolveContext, params: CutoutParams) -> CutoutParams:  # noqa: ARG002  (nothing is looked up)
        """As it was asked; the picture itself is looked at when the job runs."""
        return params

    def run(self, ctx: JobContext, params: CutoutParams) -> Generator[Any, Any, list[Output]]:
        """One picture with an alpha, or its matte."""
        mask = None if params.mask is None else ctx.blob(params.mask.sha256)
        made: Cut = yield Host(cut, (ctx.blob(params.image.sha256), mask, params))
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
                model="",
                info={"measured": measured},
                kind=document.returned,
                profile=document.profile,
            )
        ]
