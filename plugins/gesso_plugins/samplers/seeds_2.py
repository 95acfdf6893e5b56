"""SEEDS-2: an exponential Runge-Kutta method on the reverse SDE whose noise in each stage is one and the same path.

Over a step of h the noise is sigma' times an integral of exp(-eta (lambda' - s)) dW(s), so that of the whole step is the noise up to the
middle, faded by exp(-eta (1 - r) h), plus that of the rest: the two draws are independent.
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
    "seeds_2",
    title="SEEDS-2",
    paper="Gonzalez et al. 2023, SEEDS (arXiv 2305.14267), SEEDS-2 in data prediction",
    order=2,
    evaluations=2,
    stochastic=True,
)
def seeds_2(  # noqa: PLR0913  (the solver's three options)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource,
    parametrisation: Parametrisation,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Steps:
    """``r`` places the middle evaluation (in lambda); ``eta`` 0 is the deterministic method."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        lam, h = space.lam(sigma), space.lam(sigma_next) - space.lam(sigma)
        middle = space.sigma(lam + r * h)
        z_1 = s_noise * math.sqrt(-math.expm1(-2 * eta * r * h)) * noise(sigma, middle)
        z_2 = s_noise * math.sqrt(-math.expm1(-2 * eta * (1 - r) * h)) * noise(middle, sigma_next)
        k = (1 + eta) * h
        x_2 = middle / sigma * math.exp(-eta * r * h) * x - space.alpha(middle) * math.expm1(-r * k) * denoised + middle * z_1
        denoised_2 = (yield x_2, middle).denoised
        mean = denoised + (denoised_2 - denoised) / (2 * r)
        x = sigma_next / sigma * math.exp(-eta * h) * x - space.alpha(sigma_next) * math.expm1(-k) * mean
        x = x + sigma_next * (math.exp(-eta * (1 - r) * h) * z_1 + z_2)
    return x
