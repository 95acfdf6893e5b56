"""The operation `upscale`: decodes, keeps alpha and wrap-around intact, and leaves the pixels to an upscaler."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gesso.engine import All, Emit, Host, Progress
from gesso.errors import InvalidRequest, PluginError
from gesso.media import Output, images
from gesso.plugin import JobContext, OperationParams, ResolveContext, UpscaleContext, UpscalerSpec
from gesso_plugins.upscale.params import UpscaleParams

Pixels = npt.NDArray[np.float32]


class Upscale:
    """Makes a picture larger. Any upscaler keeps transparency, and a seamless picture seamless."""

    name: ClassVar[str] = "upscale"
    title: ClassVar[str] = "Upscale"
    Params: ClassVar[type[OperationParams]] = UpscaleParams

    def resolve(self, ctx: ResolveContext, params: UpscaleParams) -> UpscaleParams:
        """The upscaler by its canonical name."""
        return params.model_copy(update={"upscaler": ctx.upscaler(params.upscaler).name})

    def run(self, ctx: JobContext, params: UpscaleParams) -> Generator[Any, Any, list[Output]]:
        """Colours and alpha, each enlarged by itself."""
        picture: Pixels = yield Host(images.decode_transparent, (ctx.blob(params.image.sha256),))
        _check_size(picture, params.scale)
        spec = ctx.upscaler(params.upscaler)
        planes = [picture[..., :3] * picture[..., 3:], picture[..., 3:]] if picture.shape[2] == 4 else [picture]
        made = yield All(*(_enlarged(ctx, spec, plane, params) for plane in planes))
        pixels = yield Host(_joined, (made,))
        yield Emit(Progress(0, 1, 1, 0.0, 1.0))
        return [Output(pixels, "image", 0, 0, params.model_dump(mode="json"), "")]


def _check_size(picture: Pixels, scale: int) -> None:
    height, width = picture.shape[:2]
    if height * width * scale**2 > images.MAX_PIXELS or max(height, width) * scale > images.MAX_SIDE:
        most = int(min((images.MAX_PIXELS / (height * width)) ** 0.5, images.MAX_SIDE / max(height, width)))
        hint = f"At most {most} times is possible." if most >= 2 else "The picture is too large to be enlarged."
        raise InvalidRequest(
            f"{width} x {height} pixels, {scale} times larger, would be more than {images.MAX_PIXELS // 1_000_000} million pixels "
            f"or {images.MAX_SIDE} a side.",
            field="scale",
            hint=hint,
            details={"most": most},
        )


def _enlarged(ctx: JobContext, spec: UpscalerSpec, plane: Pixels, params: UpscaleParams) -> Generator[Any, Any, Pixels]:
    """One plane through the upscaler. Where the picture wraps around, a margin of its other side surrounds it meanwhile."""
    x, y = (spec.margin if axis in params.tile else 0 for axis in "xy")
    padded = np.pad(plane, ((y, y), (x, x), (0, 0)), mode="wrap") if x or y else plane
    asked = UpscaleContext(ctx, padded, params.scale, params.tile, ctx.options("upscalers", spec.name))
    made = yield from spec.function(asked)
    height, width, channels = padded.shape
    expected = (height * params.scale, width * params.scale, channels)
    if not isinstance(made, np.ndarray) or made.shape != expected:
        found = getattr(made, "shape", type(made).__name__)
        raise PluginError(f"The upscaler {spec.name!r} gave {found} where pixels of shape {expected} were expected.")
    bottom, right = (size * params.scale - margin * params.scale for size, margin in ((height, y), (width, x)))
    return np.asarray(made[y * params.scale : bottom, x * params.scale : right], np.float32)


def _joined(planes: tuple[Pixels, ...]) -> npt.NDArray[np.uint8]:
    """8-bit pixels; colours were enlarged multiplied with alpha, so that what is transparent does not bleed."""
    if len(planes) == 1:
        return images.quantised(planes[0], 8)
    alpha = np.clip(planes[1], 0.0, 1.0)
    colours = np.where(alpha > 0, planes[0] / np.maximum(alpha, np.float32(1e-6)), 0.0)
    return images.quantised(np.concatenate([colours, alpha], axis=2), 8)
