"""How sharp a picture is: the variance of its Laplacian (Pech-Pacheco et al. 2000), which blur takes away first."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.engine import All, Host
from gesso.plugin import ScoreContext, scorer

HALF = 0.005
"""The variance, of luma in 0..1, that scores one half: about that of an ordinary photograph in focus."""


@scorer("sharpness", title="Sharpness", paper="Pech-Pacheco et al. 2000, variance of the Laplacian")
def sharpness(ctx: ScoreContext) -> Generator[Any, Any, Sequence[float]]:
    """0 for a plane, towards 1 the more fine detail there is."""
    return list((yield All(*(Host(measured, (picture,)) for picture in ctx.pictures))))


def measured(picture: npt.NDArray[np.uint8]) -> float:
    """The variance v of the Laplacian inside the picture's border, as v / (v + HALF)."""
    luma = picture.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32) / np.float32(255)
    if min(luma.shape) < 3:
        return 0.0
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    variance = float(np.var(around - 4 * luma[1:-1, 1:-1], dtype=np.float64))
    return variance / (variance + HALF)
