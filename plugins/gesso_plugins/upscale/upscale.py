"""The operation `upscale`: decodes, keeps alpha and wrap-around intact, and leaves the pixels to an upscaler."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gesso.engine import All, Emit, Host, Progress
from gesso.errors import InvalidRequest, PluginError
from gesso.media import Output, documents, images
from gesso.media.documents import Document
from gesso.media.images import Picture
from gesso.media.working import LUMA, straight, to_depth, to_float
from gesso.plugin import JobContext, OperationParams, ResolveContext, UpscaleContext, UpscalerSpec
from gesso.plugin.sampling import check_seeds, sampled
from gesso_plugins.upscale.params import UpscaleParams

Pixels = npt.NDArray[np.float32]
PAINTING = ("prompt", "negative", "model", "strength", "steps", "guidance", "sampler", "schedule", "seed", "window")
"""What only upscalers with a model use."""


class Upscale:
    """Makes a picture larger. Any upscaler keeps transparency, and a seamless picture seamless."""

    name: ClassVar[str] = "upscale"
    title: ClassVar[str] = "Upscale"
    Params: ClassVar[type[OperationParams]] = UpscaleParams

    def resolve(self, ctx: ResolveContext, params: UpscaleParams) -> UpscaleParams:
        """The upscaler by its canonical name, and what it paints with; an upscaler that does not paint has no use for that, and says so."""
        spec = ctx.upscaler(params.upscaler)
        if spec.capability:
            check_seeds(params)
            card = ctx.model(params.model, capability=spec.capability)
            if "denoise" not in card.capabilities:
                raise InvalidRequest(f"The model {card.name!r} cannot paint over a picture.", field="model", hint="Choose another model.")
            return params.model_copy(update={"upscaler": spec.name, "model": card.name, **sampled(ctx, card, params)})
        plain = {name: UpscaleParams.model_fields[name].default for name in PAINTING}
        unused = [name for name, value in plain.items() if name != "seed" and getattr(params, name) != value]
        if unused:
            ctx.warn(f"The upscaler {spec.name!r} paints nothing and does not use {', '.join(unused)}.")
        return params.model_copy(update={"upscaler": spec.name, **plain})

    def run(self, ctx: JobContext, params: UpscaleParams) -> Generator[Any, Any, list[Output]]:
        """Colours and alpha, each enlarged by itself."""
        document: Document = yield Host(_read, (ctx.blob(params.image.sha256),))
        _check_size(document, params.scale)
        spec = ctx.upscaler(params.upscaler)
        split: Split = yield Host(_split, (document.pixels,))
        made = yield All(*(_enlarged(ctx, spec, plane, params) for plane in split.planes))
        pixels = yield Host(_joined, (made, split, document.pixels))
        yield Emit(Progress(0, 1, 1, 0.0, 1.0))
        return [
            Output(
                pixels=pixels,
                role="image",
                index=0,
                seed=params.seed or 0,
                params=params.model_dump(mode="json"),
                model=params.model or "",
                kind=document.returned,
                profile=document.profile,
            )
        ]


def _read(image: Picture) -> Document:
    return straight(documents.read(image))


@dataclass(frozen=True)
class Split:
    """Colours (H, W, 3) in 0..1 as the document encodes them, multiplied with alpha and divided by ``largest`` where floats are above 1;
    and the alpha (H, W, 1) of a picture that has one.
    """

    planes: tuple[Pixels, ...]
    largest: float


def _split(pixels: npt.NDArray[Any]) -> Split:
    values = to_float(pixels)
    inks = 3 if values.shape[2] > 2 else 1
    colours = values[..., :inks] if inks == 3 else np.repeat(values[..., :1], 3, 2)
    largest = max(1.0, float(colours.max()))
    colours = colours / np.float32(largest)
    if values.shape[2] == inks:
        return Split((colours,), largest)
    alpha = np.clip(values[..., inks:], 0.0, 1.0)
    return Split((colours * alpha, alpha), largest)


def _check_size(document: Document, scale: int) -> None:
    width, height = document.size
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
    asked = UpscaleContext(
        ctx, padded, params.scale, params.tile, ctx.options("upscalers", spec.name), {name: getattr(params, name) for name in PAINTING}
    )
    made = yield from spec.function(asked)
    height, width, channels = padded.shape
    expected = (height * params.scale, width * params.scale, channels)
    if not isinstance(made, np.ndarray) or made.shape != expected:
        found = getattr(made, "shape", type(made).__name__)
        raise PluginError(f"The upscaler {spec.name!r} gave {found} where pixels of shape {expected} were expected.")
    bottom, right = (size * params.scale - margin * params.scale for size, margin in ((height, y), (width, x)))
    return np.asarray(made[y * params.scale : bottom, x * params.scale : right], np.float32)


def _joined(made: tuple[Pixels, ...], split: Split, before: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pixels of the document's depth and channels; what is transparent does not bleed, because colours were multiplied with alpha."""
    colours = made[0]
    if before.shape[2] < 3:
        colours = (colours @ LUMA)[..., None]
    if len(made) == 1:
        return to_depth(colours * np.float32(split.largest), before.dtype)
    alpha = np.clip(made[1], 0.0, 1.0)
    colours = np.where(alpha > 0, colours / np.maximum(alpha, np.float32(1e-6)), 0.0) * np.float32(split.largest)
    return to_depth(np.concatenate([colours, alpha], axis=2), before.dtype)
