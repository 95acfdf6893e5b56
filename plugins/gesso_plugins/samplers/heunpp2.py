"""Heun++: the slope of each step is a mean of the slopes at its start and one and two steps ahead, found with Euler steps.

There is no paper. The weights sigma / (k sigma_0) of the slopes ahead fade as the noise does, so late steps are almost Euler's: the
method is of first order, and what it gains early is smoothness.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso_plugins.samplers.steps import Steps


@sampler(
    "heunpp2",
    title="HeunPP2",
    paper="Carzit, sd-webui-samplers-scheduler (MIT), Heun++ test 2",
    evaluations=3,
    aliases=("heun++2",),
)
def heunpp2(x: Tensor, sigmas: Sequence[float]) -> Steps:
    """Looks two steps ahead, at the end one, in the last step none."""
    last = len(sigmas) - 2
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        slopes = [(x - (yield x, sigma).denoised) / sigma]
        ahead, level = x, sigma
        for target in sigmas[i + 1 : min(i + 2, last) + 1]:
            ahead = ahead + slopes[-1] * (target - level)
            level = target
            slopes.append((ahead - (yield ahead, level).denoised) / level)
        weights = [target / (len(slopes) * sigmas[0]) for target in sigmas[i + 1 : i + len(slopes)]]
        d = (1 - sum(weights)) * slopes[0]
        for weight, slope in zip(weights, slopes[1:], strict=True):
            d = d + weight * slope
        x = x + d * (sigma_next - sigma)
    return x
