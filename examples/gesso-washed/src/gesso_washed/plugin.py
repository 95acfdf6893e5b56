"""Fades the colours of a picture."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gesso.engine import Host
from gesso.media import Output
from gesso.media.images import decode
from gesso.plugin import JobContext, Operation, OperationParams, PluginContext, ResolveContext, hookimpl

from gesso_washed.params import FadeParams


def faded(data: bytes, strength: float) -> npt.NDArray[np.uint8]:
    """A picture file -> its pixels, uint8 (H, W, 3), moved towards their luma (Rec. 709)."""
    colours = decode(data)
    luma = colours @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    mixed = colours + np.float32(strength) * (luma[..., None] - colours)
    pixels: npt.NDArray[np.uint8] = np.rint(mixed * 255).astype(np.uint8)
    return pixels


class Washed:
    """Fades the colours of a picture."""

    name: ClassVar[str] = "washed"
    title: ClassVar[str] = "Washed"
    Params: ClassVar[type[OperationParams]] = FadeParams

    def resolve(self, ctx: ResolveContext, params: FadeParams) -> FadeParams:
        """Nothing here depends on a model."""
        return params

    def run(self, ctx: JobContext, params: FadeParams) -> Generator[Any, Any, list[Output]]:
        """One picture in, one picture out; the arithmetic runs on the thread pool."""
        pixels = yield Host(faded, (ctx.blob(params.image.sha256), params.strength))
        return [Output(pixels, "image", 0, 0, params.model_dump(mode="json"), "")]


@hookimpl
def gesso_operations(ctx: PluginContext) -> Iterable[Operation[Any]]:
    """What this plugin adds to the list of operations."""
    return [Washed()]
