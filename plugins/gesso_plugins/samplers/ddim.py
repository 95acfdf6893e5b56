"""DDIM: keep the predicted clean image, and of the predicted noise as much as the next level holds; with eta, swap some for fresh noise."""

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
    "ddim",
    title="DDIM",
    paper="Song et al. 2021, DDIM (arXiv 2010.02502), equations 12 and 16; with eta 0 the same trajectory as euler",
    aliases=("DDIMScheduler", "DDIMParallelScheduler"),
)
def ddim(x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 0.0) -> Steps:
    """X' = alpha' D + sqrt(sigma'^2 - s^2) e + s z with s = eta sigma' sqrt(1 - exp(-2 h)). ``eta`` 1 is DDPM."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        e = space.noise_in(x, denoised, sigma)
        s = eta * sigma_next * math.sqrt(1 - (space.ratio(sigma_next) / space.ratio(sigma)) ** 2)
        x = space.mix(denoised, e, sigma_next) if s == 0 else space.alpha(sigma_next) * denoised + math.sqrt(sigma_next**2 - s**2) * e
        if s > 0:
            x = x + s * noise(sigma, sigma_next)
    return x
