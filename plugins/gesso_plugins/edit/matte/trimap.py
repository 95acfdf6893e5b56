"""What of a rough mask is sure: a band around its edge, and whatever it leaves grey, is for the matte to find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gesso_plugins.edit.boxes import Box

Mask = npt.NDArray[np.float32]
SURE = 0.05
"""How far from 0 or 1 a mask may be and still be taken at its word."""


@dataclass(frozen=True)
class Trimap:
    """``rough``: the mask itself (H, W); ``unknown``: where the matte is to be found. Elsewhere it is 0 or 1, the nearer to the mask."""

    rough: Mask
    unknown: npt.NDArray[np.bool_]

    @property
    def matte(self) -> Mask:
        """0 and 1 where they are sure, the mask where not."""
        return np.where(self.unknown, self.rough, np.round(self.rough)).astype(np.float32)


def default_band(box: Box) -> int:
    """Pixels to either side of the edge, from the box around a mask: 4 and a fortieth of its diagonal, at most 40."""
    return min(40, 4 + int(box.diagonal / 40))


def trimap(mask: Mask, band: int) -> Trimap:
    """The band is narrower where it would leave nothing sure: at most half as wide as the mask, or its surroundings, are deep."""
    inside, outside = mask >= 1 - SURE, mask <= SURE
    sure = _deep(inside, band) | _deep(outside, band)
    return Trimap(mask, ~sure)


def _deep(region: npt.NDArray[np.bool_], band: int) -> npt.NDArray[np.bool_]:
    """What of a region lies further than the band from its edge; beyond the array the region goes on."""
    if region.all() or not region.any():
        return region
    depth = ndimage.distance_transform_edt(region)
    return np.asarray(depth > min(band, depth.max() / 2))
