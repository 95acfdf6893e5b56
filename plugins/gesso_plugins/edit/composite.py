"""A result laid over the picture in linear light and in the picture's own numbers; where the mask is 0, the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.media.colour import TransferCurve

Mask = npt.NDArray[np.float32]
LARGEST = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0}


def to_float(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Samples of any depth (uint8, uint16, float16, float32) as float32; whole numbers become 0..1, floats stay as they are."""
    return pixels.astype(np.float32) / np.float32(LARGEST[str(pixels.dtype)])


def composite(picture: npt.NDArray[Any], made: npt.NDArray[np.float32], mask: Mask, curve: TransferCurve) -> npt.NDArray[Any]:
    """`made` (H, W, 3 or 4; float32 in the picture's own encoding) over `picture` (H, W, 3 or 4) by `mask` (H, W).

    Colours are mixed in linear light, premultiplied with alpha; the answer has the picture's depth and channels. Only pixels with a mask
    above 0 are computed at all: the others are copied, so that they are the same bytes.
    """
    result = picture.copy()
    touched = mask > 0
    share = mask[touched][:, None]
    below, above = to_float(picture[touched]), made[touched]
    alpha_below = below[:, 3:] if below.shape[1] == 4 else np.ones_like(share)
    alpha_above = above[:, 3:] if above.shape[1] == 4 else np.ones_like(share)
    alpha = alpha_below * (1 - share) + alpha_above * share
    light = curve.to_linear(below[:, :3]) * alpha_below * (1 - share) + curve.to_linear(above[:, :3]) * alpha_above * share
    colours = curve.from_linear(np.where(alpha > 0, light / np.maximum(alpha, 1e-7), curve.to_linear(above[:, :3])))
    mixed = np.concatenate([colours, alpha], 1) if picture.shape[2] == 4 else colours
    result[touched] = _depth(mixed, picture.dtype)
    return result


def _depth(values: npt.NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Float32 to a depth: whole numbers rounded and clipped, floats as they are."""
    largest = LARGEST[str(dtype)]
    if dtype.kind == "f":
        return values.astype(dtype)
    rounded: npt.NDArray[Any] = np.clip(np.floor(values * largest + 0.5), 0, largest).astype(dtype)
    return rounded
