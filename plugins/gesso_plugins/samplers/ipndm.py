"""iPNDM: the Adams-Bashforth weights for equal steps on the predicted noise, with lower orders at the start instead of Runge-Kutta.

In both spaces DDIM's step is x' = x + (sigma' - sigma) d with d = (x - D) / sigma: the predicted noise, or for a flow the velocity.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import fixed_adams_bashforth
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso_plugins.samplers.steps import Steps


@sampler(
    "ipndm",
    title="IPNDM",
    paper="Zhang and Chen 2023, DEIS (arXiv 2204.13902), iPNDM; weights of Liu et al. 2022, PNDM (arXiv 2202.09778)",
    order=4,
    aliases=("IPNDMScheduler",),
)
def ipndm(x: Tensor, sigmas: Sequence[float], *, order: int = 4) -> Steps:
    """The weights are exact for levels at equal distances; on other schedules the order is nominal (ipndm_v has exact ones)."""
    slopes: list[Tensor] = []
    for sigma, sigma_next in pairwise(sigmas):
        slopes = [(x - (yield x, sigma).denoised) / sigma, *slopes][:order]
        for weight, slope in zip(fixed_adams_bashforth(len(slopes)), slopes, strict=True):
            x = x + (sigma_next - sigma) * weight * slope
    return x
