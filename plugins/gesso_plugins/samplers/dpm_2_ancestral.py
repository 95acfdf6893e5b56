"""Ancestral sampling whose deterministic part is a DPM2 step."""

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
    "dpm_2_ancestral",
    title="DPM2 a",
    paper="k-diffusion: dpm_2 with the ancestral step of euler_ancestral",
    order=2,
    evaluations=2,
    stochastic=True,
    aliases=("k_dpm_2_a", "kdpm_2_a", "KDPM2AncestralDiscreteScheduler"),
)
def dpm_2_ancestral(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is DPM2, 1 the full noise of the forward process."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        d = (x - (yield x, sigma).denoised) / sigma
        down, scale, up = space.ancestral(sigma, sigma_next, eta)
        if down > 0:
            middle = math.sqrt(sigma * down)
            x_2 = x + d * (middle - sigma)
            d = (x_2 - (yield x_2, middle).denoised) / middle
        x = x + d * (down - sigma)
        if sigma_next > 0:
            x = scale * x + up * s_noise * noise(sigma, sigma_next)
    return x
