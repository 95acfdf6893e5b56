"""SEEDS-3: three stages of an exponential Runge-Kutta method on the reverse SDE, with the noise of one path.

The stages are those of DPM-Solver-3 at r_1 and r_2 with h stretched to k = (1 + eta) h. The path is drawn on the three parts of the step;
each stage takes the parts before it, each faded by exp(-eta times its distance in lambda).
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
    "seeds_3",
    title="SEEDS-3",
    paper="Gonzalez et al. 2023, SEEDS (arXiv 2305.14267), SEEDS-3 in data prediction",
    order=3,
    evaluations=3,
    stochastic=True,
)
def seeds_3(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """Evaluations at a third and at two thirds of the step (in lambda); ``eta`` 0 is the deterministic method."""
    space = Space.of(parametrisation)
    r_1, r_2 = 1 / 3, 2 / 3
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        lam, h = space.lam(sigma), space.lam(sigma_next) - space.lam(sigma)
        k, z, before, level = (1 + eta) * h, 0.0 * x, 0.0, sigma
        slope = 0.0 * x
        stage = x
        for r, part in ((r_1, 0.0), (r_2, r_1), (1.0, r_2)):
            target = sigma_next if r == 1 else space.sigma(lam + r * h)
            z = math.exp(-eta * (r - before) * h) * z
            z = z + s_noise * math.sqrt(-math.expm1(-2 * eta * (r - before) * h)) * noise(level, target)
            stage = target / sigma * math.exp(-eta * r * h) * x - space.alpha(target) * math.expm1(-r * k) * denoised + target * z
            if part > 0:
                stage = stage + space.alpha(target) * r / part * (1 + math.expm1(-r * k) / (r * k)) * slope
            if r < 1:
                slope = (yield stage, target).denoised - denoised
            before, level = r, target
        x = stage
    return x
