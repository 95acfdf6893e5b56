"""Edges and lines of a grey picture, white on black, as ControlNets were trained with. Pure functions of float32 planes (H, W) in 0..1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Plane = npt.NDArray[np.float32]
STROKE = 200
"""A stroke of a scribble is this part of the longer side wide."""
COARSER = 3.0
"""How much coarser a scribble is than edges of the same detail."""
SURROUNDINGS, CONTRAST, FLAT = 4.0, 6.0, 0.06
"""Line art: how much wider the surroundings are than the detail, how soon a line is white, and how much darker nothing is a line yet."""


def canny(grey: Plane, detail: float, low: float, high: float) -> Plane:
    """Thin edges: where the slope is steepest across itself, above ``low`` and joined to one above ``high`` (of the steepest).

    Canny 1986, A Computational Approach to Edge Detection.
    """
    smooth = ndimage.gaussian_filter(grey, detail)
    across, down = ndimage.sobel(smooth, 1), ndimage.sobel(smooth, 0)
    slope = np.hypot(across, down)
    steepest = float(slope.max())
    if steepest < 1e-6:
        return np.zeros_like(grey)
    ridge = _thinned(slope, across, down)
    weak, strong = ridge >= max(low, 1e-3) * steepest, ridge >= max(high, low, 1e-3) * steepest
    numbers, count = ndimage.label(weak, np.ones((3, 3)))
    kept = np.zeros(count + 1, np.bool_)
    kept[np.unique(numbers[strong])] = True
    kept[0] = False
    return kept[numbers].astype(np.float32)


def _thinned(slope: Plane, across: Plane, down: Plane) -> Plane:
    """The slope where no neighbour along its own direction (of four) is steeper, else 0."""
    sector = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    around = np.pad(slope, 1)
    height, width = slope.shape
    kept = np.zeros_like(slope)
    for number, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        after = around[1 + y : 1 + y + height, 1 + x : 1 + x + width]
        before = around[1 - y : 1 - y + height, 1 - x : 1 - x + width]
        top = (sector == number) & (slope > before) & (slope >= after)
        kept[top] = slope[top]
    return kept


def lineart(grey: Plane, detail: float) -> Plane:
    """Lines as white as they are darker than their surroundings: a difference of Gaussians, taken as a ratio so that shadows count as much
    as lights, through a soft threshold. After Winnemoeller et al. 2012, XDoG.
    """
    fine, wide = (ndimage.gaussian_filter(grey + np.float32(0.05), sigma) for sigma in (detail, SURROUNDINGS * detail))
    lines: Plane = np.tanh(CONTRAST * np.maximum(0, 1 - fine / wide - FLAT)).astype(np.float32)
    return lines


def scribble(grey: Plane, detail: float, low: float, high: float) -> Plane:
    """The main edges as broad strokes."""
    thin = canny(grey, COARSER * detail, low, high)
    radius = max(1.0, max(grey.shape) / STROKE / 2)
    return (ndimage.distance_transform_edt(thin == 0) <= radius).astype(np.float32) if thin.any() else thin
