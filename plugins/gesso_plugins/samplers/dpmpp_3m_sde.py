"""DPM-Solver++(3M) SDE: the multistep solver on the reverse SDE with the parabola through the last three predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space, exponential_weights
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@sampler(
    "dpmpp_3m_sde",
    title="DPM++ 3M SDE",
    paper="Crowson, k-diffusion, after Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095)",
    order=3,
    stochastic=True,
    aliases=("k_dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
)
def dpmpp_3m_sde(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is an exponential Adams-Bashforth method of third order, 1 the reverse SDE."""
    space = Space.of(parametrisation)
    lams: list[float] = []
    predictions: list[Tensor] = []
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        predictions = [denoised, *predictions][:3]
        lams = [space.lam(sigma), *lams][:3]
        lam_next = space.lam(sigma_next)
        h = lam_next - lams[0]
        x = sigma_next / sigma * math.exp(-eta * h) * x
        for weight, prediction in zip(exponential_weights(lams, lams[0], lam_next, 1 + eta), predictions, strict=True):
            x = x + space.alpha(sigma_next) * weight * prediction
        if eta > 0:
            x = x + sigma_next * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise * noise.brownian(sigma, sigma_next)
    return x
