"""The operation `rerank`: pictures in, their order and a contact sheet out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gesso.engine import All, Host
from gesso.errors import InvalidRequest
from gesso.media import Output, images
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.choosing import best, weights
from gesso_plugins.rerank.params import RerankParams
from gesso_plugins.rerank.sheet import Placed, sheet


class Rerank:
    """Puts pictures in order by any scorers, and draws a sheet that shows it. The order stands in the result."""

    name: ClassVar[str] = "rerank"
    title: ClassVar[str] = "Rerank"
    Params: ClassVar[type[OperationParams]] = RerankParams

    def resolve(self, ctx: ResolveContext, params: RerankParams) -> RerankParams:
        """The scorers by their canonical names; one where none is named."""
        score = weights(ctx, params.score)
        if not score:
            chosen = ctx.scorer(None)
            if chosen.prompted and not params.prompt.strip():
                raise InvalidRequest(
                    f"The scorer {chosen.name!r} compares pictures with a prompt, and there is none.",
                    field="prompt",
                    hint="Say what the pictures are to show, or name scorers of pictures alone with score, such as sharpness.",
                )
            score = {chosen.name: 1.0}
        return params.model_copy(update={"score": score})

    def run(self, ctx: JobContext, params: RerankParams) -> Generator[Any, Any, list[Output]]:
        """All pictures are scored together."""
        pictures = yield All(*(Host(_pixels, (ctx.blob(image.sha256), i)) for i, image in enumerate(params.images)))
        scores = yield from ctx.scores(params.score, pictures, prompt=params.prompt, tile=params.tile)
        order = best(scores, len(pictures))
        pixels = yield Host(sheet, ([Placed(pictures[i], i + 1, scores[i]) for i in order], params.background))
        ranking = [{"image": i, "score": scores[i].total, "scores": dict(scores[i].parts)} for i in order]
        return [Output(pixels, "contact_sheet", 0, 0, params.model_dump(mode="json"), "", info={"ranking": ranking})]


def _pixels(data: bytes, number: int) -> npt.NDArray[np.uint8]:
    return images.quantised(images.decode(data, f"images.{number}"), 8)
