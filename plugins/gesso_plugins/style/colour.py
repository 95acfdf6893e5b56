"""Colours or lightness kept, and Reinhard's transfer of colours, all in L*a*b*. It moves no edge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesso.media.lab import from_lab, to_lab

Pixels = npt.NDArray[np.float32]


def keeping(made: Pixels, own: Pixels, what: str) -> Pixels:
    """What was made, with the colours or the lightness of the picture's own (H, W, 3); "nothing": as it is."""
    if what == "nothing":
        return made
    new, old = to_lab(made), to_lab(own)
    return from_lab(np.concatenate([new[..., :1], old[..., 1:]] if what == "colours" else [old[..., :1], new[..., 1:]], -1))


def reinhard(picture: Pixels, style: Pixels, region: Pixels | None = None) -> Pixels:
    """The picture with the mean and deviation of the style's L*, a*, b* (Reinhard et al. 2001); those of the picture in a region (H, W)."""
    own, other = to_lab(picture), to_lab(style).reshape(-1, 3)
    weights = np.ones(own.shape[:2], np.float32) if region is None else region
    share = (weights / max(float(weights.sum()), 1e-6))[..., None]
    mean = (own * share).sum((0, 1))
    deviation = np.sqrt((np.square(own - mean) * share).sum((0, 1)))
    return from_lab((own - mean) / np.maximum(deviation, 1e-3) * other.std(0) + other.mean(0))
