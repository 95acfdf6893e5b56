"""Soft masks, float32 (H, W) in 0..1: widened, faded, and the two that an edit needs. White is what is edited."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gesso_plugins.edit.geometry import Margins

Mask = npt.NDArray[np.float32]


def widened(mask: Mask, pixels: int) -> Mask:
    """The largest value within so many pixels (Chebyshev)."""
    if pixels <= 0:
        return mask
    size = 2 * pixels + 1
    grown: Mask = ndimage.maximum_filter1d(ndimage.maximum_filter1d(mask, size, 0, mode="nearest"), size, 1, mode="nearest")
    return grown


def ramp(mask: Mask, pixels: int) -> Mask:
    """The mask, fading linearly to nothing over so many pixels outside of where it is above zero (Euclidean); inside it is kept."""
    inside = mask > 0
    if pixels <= 0 or inside.all() or not inside.any():
        return mask
    distance, nearest = ndimage.distance_transform_edt(~inside, return_indices=True)
    fading = np.clip(1.0 - distance / (pixels + 1), 0.0, 1.0).astype(np.float32)
    edge: Mask = mask[tuple(nearest)] * fading
    return np.where(inside, mask, edge)


def change_mask(mask: Mask, margins: Margins) -> Mask:
    """How much of each pixel the model may redo: 1 on the mask and its growth, fading out over the feather.

    Families read it as the step from which a pixel is free (Levin and Fried 2023, differential diffusion).
    """
    return ramp(widened(mask, margins.grow), margins.feather)


def composite_mask(mask: Mask, margins: Margins) -> Mask:
    """How much of the result each pixel takes: the mask itself, fading smoothly over the blend; exactly 0 beyond it."""
    faded = ramp(mask, margins.blend)
    outside = mask <= 0
    smooth = faded * faded * (3 - 2 * faded)
    return np.where(outside, smooth, mask).astype(np.float32)
