"""Pictures of which not all tokens are drawn yet."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gesso.media import preview as pictures
from gesso.plugin.previews import Draw

GREY = 96


def mosaic(swatches: Tensor) -> Draw:
    """Draws tokens (1, 1, h, w), of which those below 0 are unknown, given how each looks alone: (V, 3, f, f) in 0..1."""
    known = (swatches.detach().cpu() * 255 + 0.5).byte().movedim(1, -1).numpy()
    return partial(_drawn, np.concatenate([known, np.full_like(known[:1], GREY)]))


def _drawn(table: npt.NDArray[np.uint8], tokens: Tensor) -> npt.NDArray[np.uint8]:
    """The last entry of the table is where -1 points."""
    found = table[tokens[0, 0].cpu().numpy()]
    height, width, side = found.shape[:3]
    return pictures.enlarged(found.swapaxes(1, 2).reshape(height * side, width * side, 3), 1)
