"""A result laid over the picture in linear light and in the picture's own numbers; where the mask is 0, the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.media.colour import TransferCurve
from gesso.media.working import LARGEST, to_depth, to_float

Mask = npt.NDArray[np.float32]


def composite(
    picture: npt.NDArray[Any], made: npt.NDArray[np.float32], mask: Mask, curve: TransferCurve, *, associated: bool = False
) -> npt.NDArray[Any]:
    """`made` (H, W, 1 to 4; float32 in the picture's own encoding) over `picture` (H, W, 1 to 4) by `mask` (H, W).

    Colours are mixed in linear light, premultiplied with alpha; the answer has the picture's depth and channels. Where the mask is 0 the
    picture's own bytes are copied; only where it is below 1 colours are mixed. ``associated``: the picture's numbers are multiplied with
    its alpha, and so are the answer's; what is made is opaque.
    """
    result = _opaque(to_depth(made, picture.dtype), picture.shape)
    part = mask < 1
    result[part] = picture[part]
    touched = (mask > 0) & part
    share = mask[touched][:, None]
    below, above = to_float(picture[touched]), made[touched]
    inks = 3 if picture.shape[2] > 2 else 1
    alpha_below = below[:, inks:] if below.shape[1] > inks else np.ones_like(share)
    alpha_above = above[:, inks:] if above.shape[1] > inks else np.ones_like(share)
    alpha = alpha_below * (1 - share) + alpha_above * share
    whole = np.where(alpha_below > 0, alpha_below, 1)
    own = curve.to_linear(below[:, :inks] / whole) * whole if associated else curve.to_linear(below[:, :inks]) * alpha_below
    light = own * (1 - share) + curve.to_linear(above[:, :inks]) * alpha_above * share
    colours = curve.from_linear(np.where(alpha > 0, light / np.maximum(alpha, 1e-7), curve.to_linear(above[:, :inks])))
    if associated:
        colours = colours * alpha
    mixed = np.concatenate([colours, alpha], 1) if picture.shape[2] > inks else colours
    result[touched] = to_depth(mixed, picture.dtype)
    return result


def _opaque(colours: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Pixels with an alpha where the picture has one and they have none."""
    if colours.shape[-1] == shape[-1]:
        return colours
    return np.concatenate([colours, np.full_like(colours[..., :1], LARGEST[str(colours.dtype)])], -1)
