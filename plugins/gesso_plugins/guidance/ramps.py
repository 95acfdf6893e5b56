"""How strong a guidance is over the run: Wang et al. 2024, Analysis of Classifier-Free Guidance Weight Schedulers (arXiv 2404.13040).

Their "linear" and "cosine" rise from nothing to twice the strength, so that its mean over the run is what was asked for.
"""

from __future__ import annotations

import math
from typing import Literal

Ramp = Literal["constant", "linear", "cosine"]


def ramped(scale: float, ramp: Ramp, fraction: float, neutral: float = 0.0) -> float:
    """The scale when ``fraction`` of the steps is done; ``neutral`` is the scale that guides nowhere."""
    if ramp == "constant":
        return scale
    return neutral + (scale - neutral) * (2.0 * fraction if ramp == "linear" else 1.0 - math.cos(math.pi * fraction))
