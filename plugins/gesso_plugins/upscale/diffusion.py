"""The upscaler that paints detail: enlarged first, then redone at a low strength in windows of a size that the model likes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gesso.engine import Host
from gesso.errors import InvalidRequest
from gesso.media.working import resampled
from gesso.plugin import UpscaleContext, upscaler

Pixels = npt.NDArray[np.float32]
LARGEST = 8192
BROAD = 4.0
"""Deviation, in pixels of the picture that came in, of the blur beyond which colours are the picture's own and not the model's."""
PASSED_ON = ("prompt", "negative", "model", "strength", "steps", "guidance", "sampler", "schedule", "seed")


@upscaler(
    "tiled_diffusion",
    title="Tiled diffusion",
    paper="Bar-Tal et al. 2023 (arXiv 2302.08113), over Lanczos",
    margin=0,
    capability="encode_image",
)
def tiled_diffusion(ctx: UpscaleContext) -> Generator[Any, Any, Pixels]:
    """Detail that was not there. What is transparent is enlarged alone."""
    height, width = (side * ctx.scale for side in ctx.pixels.shape[:2])
    if ctx.pixels.shape[2] != 3:
        plain: Pixels = yield Host(resampled, (ctx.pixels, (width, height), ctx.tile))
        return plain
    card = ctx.job.model(ctx.settings["model"])
    size = tuple(_possible(side, card.limits.multiple, card.limits.smallest) for side in (width, height))
    if max(size) > LARGEST:
        most = LARGEST // max(ctx.pixels.shape[:2])
        raise InvalidRequest(
            f"By diffusion a picture becomes at most {LARGEST} pixels a side, and this would have {max(size)}.",
            field="scale",
            hint=f"At most {most} times is possible." if most > 1 else "Choose another upscaler.",
            details={"most": most},
        )
    first: Pixels = yield Host(_enlarged, (ctx.pixels, size, ctx.tile))
    window = ctx.settings["window"] or card.limits.nearest(min(card.defaults.width, card.defaults.height))
    asked = {**{name: ctx.settings[name] for name in PASSED_ON}, "width": size[0], "height": size[1], "window": window}
    (made,) = yield from ctx.job.operation("generate", {**asked, "image": ctx.job.keep(first), "tile": ctx.tile, "bits": 16})
    finished: Pixels = yield Host(_finished, (first, made.pixels, (width, height), ctx.tile, BROAD * ctx.scale))
    return finished


def _possible(side: int, multiple: int, smallest: int) -> int:
    """The next larger side that the model can make."""
    return -(-max(side, smallest) // multiple) * multiple


def _enlarged(pixels: Pixels, size: tuple[int, int], tile: str) -> Pixels:
    return np.clip(resampled(pixels, size, tile), 0.0, 1.0)


def _finished(first: Pixels, made: npt.NDArray[np.uint16], size: tuple[int, int], tile: str, broad: float) -> Pixels:
    """The model's detail under the picture's own broad colours, at the size asked for."""
    detailed = made.astype(np.float32) / np.float32(65535)
    off = first - detailed
    for axis, name in enumerate("yx"):
        off = ndimage.gaussian_filter1d(off, broad, axis, mode="wrap" if name in tile else "nearest")
    return resampled(np.asarray(detailed + off, np.float32), size, tile)
