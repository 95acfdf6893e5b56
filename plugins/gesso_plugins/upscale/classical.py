"""Upscalers without a model: Lanczos, and iterative back-projection on top of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.engine import Host
from gesso.media.working import resampled
from gesso.plugin import UpscaleContext, upscaler

Pixels = npt.NDArray[np.float32]
ROUNDS = 6
"""Corrections of back-projection; the error falls by about half in each, and is below a grey value by then."""


@upscaler("lanczos", title="Lanczos", paper="Duchon 1979, three lobes", margin=4)
def lanczos(ctx: UpscaleContext) -> Generator[Any, Any, Pixels]:
    """The usual windowed sinc."""
    made: Pixels = yield Host(enlarged, (ctx.pixels, ctx.scale))
    return made


@upscaler("back_projection", title="Back projection", paper="Irani & Peleg 1991, over Lanczos", margin=16)
def back_projection(ctx: UpscaleContext) -> Generator[Any, Any, Pixels]:
    """Sharper than its interpolation: scaled down again, the result is the picture that went in."""
    made: Pixels = yield Host(projected, (ctx.pixels, ctx.scale))
    return made


def enlarged(pixels: Pixels, scale: int) -> Pixels:
    """(H, W, C) -> (H * scale, W * scale, C)."""
    height, width = pixels.shape[:2]
    return resampled(pixels, (width * scale, height * scale))


def projected(pixels: Pixels, scale: int) -> Pixels:
    """Each round adds what is missing once the result is averaged over blocks of ``scale`` x ``scale`` again."""
    height, width, channels = pixels.shape
    made = enlarged(pixels, scale)
    for _ in range(ROUNDS):
        averaged = made.reshape(height, scale, width, scale, channels).mean(axis=(1, 3), dtype=np.float32)
        made = made + enlarged(pixels - averaged, scale)
    return np.clip(made, 0.0, 1.0)
