"""The operation `trace`: of a picture, what a ControlNet reads. It steers nothing itself."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np

from gesso.engine import Apply, Host, ModelRef
from gesso.errors import InvalidRequest
from gesso.media import MaterialMaps, Output, documents
from gesso.media.images import Picture
from gesso.media.working import LUMA, Pixels, to_depth, to_srgb
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso_plugins.trace import lines
from gesso_plugins.trace.params import TraceParams

FINDS = "find_maps"


class Trace:
    """Draws a picture as a ControlNet reads it: edges, line art, a scribble, or depth."""

    name: ClassVar[str] = "trace"
    title: ClassVar[str] = "Trace"
    Params: ClassVar[type[OperationParams]] = TraceParams

    def resolve(self, ctx: ResolveContext, params: TraceParams) -> TraceParams:
        """Thresholds in their order, and a network where one is needed."""
        if params.low > params.high:
            raise InvalidRequest("The low threshold is above the high one.", field="low", hint="Lower it.")
        if params.kind == "depth":
            ctx.model(None, capability=FINDS)
        return params

    def run(self, ctx: JobContext, params: TraceParams) -> Generator[Any, Any, list[Output]]:
        """One picture."""
        seen: Pixels = yield Host(_seen, (ctx.blob(params.image.sha256),))
        model = ""
        if params.kind == "depth":
            card = ctx.model(None, capability=FINDS)
            maps: MaterialMaps = yield Apply(ModelRef(card.name, card.digest), FINDS, {"picture": seen, "tile": "none"})
            model = card.name
            drawn = to_depth(maps.height, np.dtype(np.uint16))
        else:
            drawn = to_depth((yield Host(_drawn, (seen, params))), np.dtype(np.uint8))
        return [Output(drawn.reshape(*seen.shape[:2], 1), "image", 0, 0, params.model_dump(mode="json"), model)]


def _seen(image: Picture) -> Pixels:
    """The picture as sRGB (H, W, 3)."""
    document = documents.read(image)
    return to_srgb(document, document.pixels)


def _drawn(seen: Pixels, params: TraceParams) -> lines.Plane:
    grey = np.ascontiguousarray(seen @ LUMA, np.float32)
    if params.kind == "lineart":
        return lines.lineart(grey, params.detail)
    draw = lines.canny if params.kind == "canny" else lines.scribble
    return draw(grey, params.detail, params.low, params.high)
