"""Soft masks, float32 (H, W) in 0..1: widened, faded, and the two that an edit needs. White is what is edited."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gesso_plugins.edit.boxes import Box, bounds
from gesso_plugins.edit.geometry import Margins

Mask = npt.NDArray[np.float32]


def widened(mask: Mask, pixels: int) -> Mask:
    """The largest value within so many pixels (Chebyshev)."""
    if pixels <= 0:
        return mask
    size = 2 * pixels + 1
    grown: Mask = ndimage.maximum_filter1d(ndimage.maximum_filter1d(mask, size, 0, mode="nearest"), size, 1, mode="nearest")
    return grown


def faded(mask: Mask, margins: Margins) -> tuple[Mask, Mask]:
    """The two masks of an edit, from a mask (H, W) that is above zero somewhere.

    How much of each pixel the model may redo: 1 on the mask and its growth, fading out linearly over the feather (Euclidean). Families read
    it as the step from which a pixel is free (Levin and Fried 2023, differential diffusion).

    And how much of the result each pixel takes: the mask itself, fading smoothly over the blend; exactly 0 beyond it.
    """
    around = bounds(mask)
    assert around is not None
    height, width = mask.shape
    reach = max(margins.reach, margins.blend) + margins.grow + 1
    near = around.padded(reach).clipped(Box(0, 0, width, height)).slices
    local = mask[near]
    change, cover = np.zeros_like(mask), np.zeros_like(mask)
    if local[local > 0].min() >= 1:
        away = _away(local)
        change[near] = _falling(away - margins.grow, margins.feather)
        cover[near] = _smooth(_falling(away, margins.blend))
    else:
        change[near] = _carried(widened(local, margins.grow), margins.feather)
        cover[near] = np.where(local > 0, local, _smooth(_carried(local, margins.blend)))
    return change, cover


def _away(mask: Mask) -> Mask:
    """How far each place is from the mask."""
    if (mask > 0).all():
        return np.zeros_like(mask)
    return np.asarray(ndimage.distance_transform_edt(mask <= 0), np.float32)


def _falling(away: Mask, pixels: int) -> Mask:
    return np.asarray(np.clip(1.0 - away / (pixels + 1), 0.0, 1.0), np.float32) if pixels else (away <= 0).astype(np.float32)


def _carried(mask: Mask, pixels: int) -> Mask:
    """A soft mask, fading linearly outside of where it is above zero from what the nearest place there says; inside it is kept."""
    inside = mask > 0
    if pixels <= 0 or inside.all():
        return mask
    away, nearest = ndimage.distance_transform_edt(~inside, return_indices=True)
    return np.where(inside, mask, mask[tuple(nearest)] * _falling(np.asarray(away, np.float32), pixels))


def _smooth(mask: Mask) -> Mask:
    return mask * mask * (3 - 2 * mask)
