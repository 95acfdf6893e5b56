"""DDPM: a sample of the posterior q(x' | x, x0 = D) of the forward process at each step.

With a = alpha / alpha' and b^2 = sigma^2 - a^2 sigma'^2 for the way up, the mean is (a sigma'^2 x + alpha' b^2 D) / sigma^2 and the
variance sigma'^2 b^2 / sigma^2: equations 6 and 7 of the paper for any alpha and sigma. The larger of the paper's two variances is that
one times v / v', the shares of noise in x and x' (v = sigma^2 / (alpha^2 + sigma^2)). A model that learned the variance says where between
the two, in logs, the step's lies (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 15).
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
    aliases=("DDPMScheduler", "DDPMParallelScheduler", "UnCLIPScheduler"),
)
def ddpm(x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation) -> Steps:
    """The posterior variance (the smaller of the paper's two), unless the model says how much larger it is."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        reply = yield x, sigma
        denoised = reply.denoised
        a, b = space.renoise(sigma_next, sigma)
        x = (a * (sigma_next / sigma) ** 2) * x + (space.alpha(sigma_next) * (b / sigma) ** 2) * denoised
        if sigma_next > 0:
            deviation: float | Tensor = sigma_next * b / sigma
            if reply.spread is not None:
                deviation = deviation * (share(space, sigma) / share(space, sigma_next)) ** (reply.spread / 2)
            x = x + deviation * noise(sigma, sigma_next)
    return x


def share(space: Space, sigma: float) -> float:
    """How much of the variance of x is noise."""
    return sigma**2 / (space.alpha(sigma) ** 2 + sigma**2)
