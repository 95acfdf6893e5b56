"""DEIS in log rho: the predicted noise is extrapolated by the polynomial in log rho through its last values, and integrated over rho.

With y = x / alpha and rho = sigma / alpha the probability-flow ODE is dy = e drho, so y' = y + sum_j C_j e_j with
C_j = integral of L_j(log r) dr from rho to rho' = integral of L_j(t) exp(t) dt over t = log r.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space, lagrange_weights
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@sampler(
    "deis",
    title="DEIS",
    paper="Zhang and Chen 2023, DEIS (arXiv 2204.13902), rhoAB-DEIS with polynomials in log rho",
    order=3,
    aliases=("DEISMultistepScheduler",),
)
def deis(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation, order: int = 3) -> Steps:
    """The step to 0, where log rho ends, is of first order."""
    space = Space.of(parametrisation)
    noises: list[Tensor] = []
    logs: list[float] = []
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        noises = [space.noise_in(x, denoised, sigma), *noises][:order]
        logs = [-space.lam(sigma), *logs][:order]
        x = x / space.alpha(sigma)
        for weight, e in zip(lagrange_weights(logs, logs[0], -space.lam(sigma_next), math.exp), noises, strict=True):
            x = x + weight * e
        x = x * space.alpha(sigma_next)
    return x
