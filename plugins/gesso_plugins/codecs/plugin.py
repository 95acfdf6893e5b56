"""Registers the kinds of files that ship with Gesso: PNG, TIFF, OpenEXR and WebP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.media import documents, exr, png, webp
from gesso.media.working import divided, multiplied
from gesso.plugin import CodecContext, CodecSpec, codec, hookimpl

COLOURS = ("image", "base_color")
"""Roles whose samples are encoded for the eye; those of other maps are amounts."""


@codec("png", title="PNG", media_type="image/png", ending="png", holds=("uint8", "uint16"))
def to_png(ctx: CodecContext) -> bytes:
    """The usual file: 8 and 16 bits without loss, with the recipe inside."""
    return png.write(_straight(ctx), dict(ctx.texts), ctx.profile.icc)


@codec("tiff", title="TIFF", media_type="image/tiff", ending="tiff", holds=documents.DEPTHS)
def to_tiff(ctx: CodecContext) -> bytes:
    """Any depth without loss; no recipe."""
    return documents.write(documents.Document(ctx.pixels, ctx.profile, "tiff", ctx.associated))


@codec("exr", title="OpenEXR", media_type="image/x-exr", ending="exr", aliases=("openexr",), holds=documents.DEPTHS)
def to_exr(ctx: CodecContext) -> bytes:
    """Light as numbers, multiplied with the alpha: colours of 8 and 16 bits become light, amounts (other maps, alpha) stay what they are.
    8 bits fit into halves.
    """
    whole = ctx.pixels.dtype.kind == "u"
    pixels = _straight(ctx) if whole else ctx.pixels
    if whole:
        values = pixels.astype(np.float64) / np.iinfo(pixels.dtype).max
        colours = pixels.shape[2] - (pixels.shape[2] + 1) % 2
        if ctx.role in COLOURS:
            for channel in range(colours):
                values[..., channel] = ctx.profile.curves[channel].to_linear(values[..., channel])
        pixels = values.astype(np.float16 if pixels.dtype == np.uint8 else np.float32)
    return exr.write(multiplied(pixels) if pixels.shape[2] in (2, 4) and (whole or not ctx.associated) else pixels)


@codec("webp", title="WebP", media_type="image/webp", ending="webp")
def to_webp(ctx: CodecContext) -> bytes:
    """Smaller than PNG, with the recipe inside: without loss, or of the quality that the owner sets."""
    quality = ctx.options.get("webp_quality")
    if quality is not None and not (isinstance(quality, int) and 0 <= quality <= 100):
        raise ValueError(f"the setting webp_quality must be a whole number from 0 to 100, not {quality!r}")
    return webp.write(_straight(ctx), ctx.texts, ctx.profile.icc, quality)


def _straight(ctx: CodecContext) -> npt.NDArray[Any]:
    """For files whose colours are never multiplied with the alpha."""
    return divided(ctx.pixels) if ctx.associated else ctx.pixels


@hookimpl
def gesso_codecs() -> Iterable[CodecSpec]:
    """What every installation writes."""
    return [to_png, to_tiff, to_exr, to_webp]
