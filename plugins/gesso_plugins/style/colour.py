"""What of a picture is kept: its colours or lightness, or all edges of its brightness; and Reinhard's transfer of colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesso.media.lab import from_lab, to_lab
from gesso.media.working import LUMA

Pixels = npt.NDArray[np.float32]


def keeping(made: Pixels, own: Pixels, what: str) -> Pixels:
    """What was made, with the colours, the lightness or the shapes of the picture's own (H, W, 3); "nothing": as it is."""
    if what == "nothing":
        return made
    if what == "shapes":
        return reshaped(made, own)
    new, old = to_lab(made), to_lab(own)
    return from_lab(np.concatenate([new[..., :1], old[..., 1:]] if what == "colours" else [old[..., :1], new[..., 1:]], -1))


def reshaped(made: Pixels, own: Pixels) -> Pixels:
    """What was made (H, W, 3), in 0..1, with the brightness of the picture's own, moved and stretched as a whole: every edge stays.

    Brightness gets the mean of what was made, and its deviation as far as none of it leaves 0..1. Where a colour then would,
    it becomes paler until it does not: clipped, it would take the brightness with it.
    """
    brightness, lines = (each @ LUMA for each in (made, own))
    colour, mean = made - brightness[..., None], float(brightness.mean())
    lines = lines - lines.mean()
    room = min(mean / max(float(-lines.min()), 1e-6), (1 - mean) / max(float(lines.max()), 1e-6))
    stretch = min(float(brightness.std()) / max(float(lines.std()), 1e-3), room)
    new = (mean + stretch * lines)[..., None]
    limits = np.where(colour > 0, 1 - new, new) / np.maximum(np.abs(colour), 1e-6)
    paler = np.clip(limits.min(-1, keepdims=True), 0, 1)
    return np.asarray(new + paler * colour, np.float32)


def reinhard(picture: Pixels, style: Pixels, region: Pixels | None = None) -> Pixels:
    """The picture with the mean and deviation of the style's L*, a*, b* (Reinhard et al. 2001); those of the picture in a region (H, W)."""
    own, other = to_lab(picture), to_lab(style).reshape(-1, 3)
    weights = np.ones(own.shape[:2], np.float32) if region is None else region
    share = (weights / max(float(weights.sum()), 1e-6))[..., None]
    mean = (own * share).sum((0, 1))
    deviation = np.sqrt((np.square(own - mean) * share).sum((0, 1)))
    return from_lab((own - mean) / np.maximum(deviation, 1e-3) * other.std(0) + other.mean(0))
