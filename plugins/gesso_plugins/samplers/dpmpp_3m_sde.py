"""DPM-Solver++(3M) SDE: the multistep solver on the reverse SDE with first and second differences of the last three predictions.

With k = (1 + eta) h, p = 1 - (1 - exp(-k)) / k and r_j = h_j / h: differences D' = (D - D_1) / r_1, D'_1 = (D_1 - D_2) / r_2 and
D'' = (D' - D'_1) / (r_1 + r_2); the step adds p (D' + r_1 D'') + (1/2 - p / k) D''. The parabola through the three points would have
twice the last weight. The published one is kept, in the paper's code as in k-diffusion: the order is 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space
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
    order=2,
    stochastic=True,
    aliases=("k_dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
)
def dpmpp_3m_sde(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is the deterministic method, 1 the reverse SDE."""
    space = Space.of(parametrisation)
    predictions: list[Tensor] = []
    lengths: list[float] = []
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        predictions = [denoised, *predictions][:3]
        h = space.lam(sigma_next) - space.lam(sigma)
        k, alpha = (1 + eta) * h, space.alpha(sigma_next)
        p = 1 + math.expm1(-k) / k
        x = sigma_next / sigma * math.exp(-eta * h) * x - alpha * math.expm1(-k) * denoised
        first = [(a - b) * (h / length) for (a, b), length in zip(pairwise(predictions), lengths, strict=False)]
        if len(first) == 1:
            x = x + alpha * p * first[0]
        elif len(first) == 2:
            second = (first[0] - first[1]) * (h / (lengths[0] + lengths[1]))
            x = x + alpha * p * (first[0] + (lengths[0] / h) * second) + alpha * (0.5 - p / k) * second
        if eta > 0:
            x = x + sigma_next * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise * noise.brownian(sigma, sigma_next)
        lengths = [h, *lengths][:2]
    return x
