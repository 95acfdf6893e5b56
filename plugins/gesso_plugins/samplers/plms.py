"""PLMS: Adams-Bashforth weights for equal steps on the predicted noise, started with one step of the improved Euler method."""

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
    "plms",
    title="PLMS",
    paper="Liu et al. 2022, PNDM (arXiv 2202.09778), pseudo linear multistep, with the start of latent-diffusion",
    order=4,
    aliases=("pndm", "PNDMScheduler"),
)
def plms(x: Tensor, sigmas: Sequence[float], *, order: int = 4) -> Steps:
    """The first step takes two evaluations, each other one; the weights are exact for levels at equal distances."""
    slopes: list[Tensor] = []
    for sigma, sigma_next in pairwise(sigmas):
        d = (x - (yield x, sigma).denoised) / sigma
        slopes = [d, *slopes][:order]
        if len(slopes) == 1 and sigma_next > 0:
            x_2 = x + (sigma_next - sigma) * d
            d = (d + (x_2 - (yield x_2, sigma_next).denoised) / sigma_next) / 2
        elif len(slopes) > 1:
            terms = [weight * slope for weight, slope in zip(fixed_adams_bashforth(len(slopes)), slopes, strict=True)]
            d = sum(terms[1:], terms[0])
        x = x + (sigma_next - sigma) * d
    return x
