"""How well a texture wraps around: the step from its last line to its first, held against the steps between its other lines."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.engine import All, Host
from gesso.plugin import ScoreContext, scorer

STEEP = 0.95
"""The quantile of the inner steps that a wrap may reach: joints and edges inside a material are steep as well."""
LEAST = 1.0
"""Grey values (of 255) below which a step cannot be seen."""


@scorer("seam", title="Seam", paper="Wrap gradient against the distribution of the inner ones")
def seam(ctx: ScoreContext) -> Generator[Any, Any, Sequence[float]]:
    """1 where the wrap cannot be told from the inside, towards 0 the harder the seam; the worse of the axes that wrap (both by default)."""
    axes = ctx.tile if ctx.tile in ("x", "y") else "xy"
    return list((yield All(*(Host(measured, (picture, axes)) for picture in ctx.pictures))))


def measured(picture: npt.NDArray[np.uint8], axes: str) -> float:
    """The smaller of the axes' scores."""
    values = picture.astype(np.float32)
    return min(_along(values if axis == "y" else values.swapaxes(0, 1)) for axis in axes)


def _along(lines: npt.NDArray[np.float32]) -> float:
    """min(1, steep inner step / wrap step) over lines along the first axis."""
    if len(lines) < 3:
        return 1.0
    inner = np.abs(np.diff(lines, axis=0)).mean(axis=(1, 2))
    wrap = float(np.abs(lines[0] - lines[-1]).mean())
    allowed = max(float(np.quantile(inner, STEEP)), LEAST)
    return min(1.0, allowed / max(wrap, LEAST))
