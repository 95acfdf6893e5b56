"""DDPM: a sample of the posterior q(x' | x, x0 = D) of the forward process at each step.

With a = alpha / alpha' and b^2 = sigma^2 - a^2 sigma'^2 for the way up, the mean is (a sigma'^2 x + alpha' b^2 D) / sigma^2 and the
variance sigma'^2 b^2 / sigma^2: equations 6 and 7 of the paper for any alpha and sigma.
"""

from __future__ import annotations

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
    "ddpm",
    title="DDPM",
    paper="Ho et al. 2020 (arXiv 2006.11239), equations 6 and 7; for epsilon and v models the same trajectory as euler_ancestral",
    stochastic=True,
    aliases=("DDPMScheduler", "DDPMParallelScheduler"),
)
def ddpm(x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation) -> Steps:
    """The posterior variance (the smaller of the paper's two)."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        a, b = space.renoise(sigma_next, sigma)
        x = (a * (sigma_next / sigma) ** 2) * x + (space.alpha(sigma_next) * (b / sigma) ** 2) * denoised
        if sigma_next > 0:
            x = x + sigma_next * b / sigma * noise(sigma, sigma_next)
    return x
