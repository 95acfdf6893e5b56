"""How much of a picture's shapes is left: the correlation of its edges before and after. The style's distance is the encoder's to tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gesso.media.working import LUMA

Pixels = npt.NDArray[np.float32]
DEVIATION = 1.5
"""Pixels over which edges are looked at, so that grain is none."""


def edges(picture: Pixels) -> Pixels:
    """How steep the brightness is (H, W)."""
    return np.asarray(ndimage.gaussian_gradient_magnitude(picture @ LUMA, DEVIATION), np.float32)


def edge_correlation(picture: Pixels, other: Pixels) -> float:
    """Pearson's correlation of the edges of two pictures (H, W, 3); 1 where one of them is all flat and the other too."""
    one, two = (edges(each).ravel().astype(np.float64) for each in (picture, other))
    one, two = one - one.mean(), two - two.mean()
    size = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / size if size > 1e-12 else float(np.allclose(one, two))
