"""Measures the seam of a picture that is meant to wrap around: how the step across its border compares with the steps inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def seam(pixels: npt.NDArray[Any], axis: str) -> dict[str, float]:
    """The step across the border along ``axis`` (``x`` or ``y``) against those inside; a step is the mean absolute difference of two
    neighbouring columns or rows. ``ratio``: to their mean, 1 where the border is like any other place. ``rank``: the share of them that
    is smaller, about 0.5 there and near 1 where the border shows.
    """
    lines = np.moveaxis(np.asarray(pixels, np.float32), 1 if axis == "x" else 0, 0)
    lines = lines.reshape(len(lines), -1)
    inner = np.abs(np.diff(lines, axis=0)).mean(axis=1)
    border = np.abs(lines[0] - lines[-1]).mean()
    mean = inner.mean()
    ratio = border / mean if mean > 0 else float(border > 0)
    rank = ((inner < border).sum() + 0.5 * (inner == border).sum()) / len(inner)
    return {"ratio": round(float(ratio), 3), "rank": round(float(rank), 3)}


def seams(pixels: npt.NDArray[Any], tile: str) -> dict[str, dict[str, float]]:
    """`seam` by axis for ``tile`` x, y, xy or none."""
    return {axis: seam(pixels, axis) for axis in ("x", "y") if axis in tile and tile != "none"}
