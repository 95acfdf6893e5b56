"""Between a model's trained noise levels: continuous time t in 0 .. len(sigmas) - 1 and sigma(t), and back."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gesso.model import Parametrisation


def sigma_at(parametrisation: Parametrisation, t: float) -> float:
    """Sigma at time t (clamped to the trained range): linear in log sigma between trained levels, for flows linear in sigma."""
    sigmas = parametrisation.sigmas
    t = min(max(t, 0.0), len(sigmas) - 1.0)
    low = min(int(t), max(len(sigmas) - 2, 0))
    part = t - low
    if part == 0:
        return sigmas[low]
    below, above = sigmas[low], sigmas[low + 1]
    if part == 1:
        return above
    if parametrisation.is_flow:
        return below + part * (above - below)
    return math.exp(math.log(below) + part * (math.log(above) - math.log(below)))


def time_of(parametrisation: Parametrisation, sigma: float) -> float:
    """The time t whose `sigma_at` is sigma (clamped to the trained range)."""
    sigmas = parametrisation.sigmas
    if sigma <= sigmas[0]:
        return 0.0
    if sigma >= sigmas[-1]:
        return len(sigmas) - 1.0
    low = bisect_right(sigmas, sigma) - 1
    below, above = sigmas[low], sigmas[low + 1]
    if parametrisation.is_flow:
        return low + (sigma - below) / (above - below)
    return low + math.log(sigma / below) / math.log(above / below)
