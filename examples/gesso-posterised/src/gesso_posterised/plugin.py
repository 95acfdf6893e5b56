"""Posterises a picture. It runs in an environment of its own, and is written as if it did not."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import PIL
from gesso.engine import Emit, Host, Warn
from gesso.media import Output
from gesso.plugin import JobContext, Operation, OperationParams, PluginContext, ResolveContext, hookimpl
from PIL import Image, ImageOps

from gesso_posterised.params import PosterParams


def posterised(data: bytes, bits: int) -> npt.NDArray[np.uint8]:
    """A picture file -> its pixels, uint8 (H, W, 3), each colour cut to so many bits."""
    return np.asarray(ImageOps.posterize(Image.open(io.BytesIO(data)).convert("RGB"), bits)).copy()


class Posterised:
    """Posterises a picture."""

    name: ClassVar[str] = "posterised"
    title: ClassVar[str] = "Posterised"
    Params: ClassVar[type[OperationParams]] = PosterParams

    def resolve(self, ctx: ResolveContext, params: PosterParams) -> PosterParams:
        """Nothing here depends on a model."""
        return params

    def run(self, ctx: JobContext, params: PosterParams) -> Generator[Any, Any, list[Output]]:
        """One picture in, one picture out; the arithmetic runs on a thread."""
        yield Emit(Warn(f"made with Pillow {PIL.__version__}"))
        pixels = yield Host(posterised, (ctx.blob(params.image.sha256), params.bits))
        return [Output(pixels, "image", 0, 0, params.model_dump(mode="json"), "")]


@hookimpl
def gesso_operations(ctx: PluginContext) -> Iterable[Operation[Any]]:
    """What this plugin adds to the list of operations."""
    return [Posterised()]
