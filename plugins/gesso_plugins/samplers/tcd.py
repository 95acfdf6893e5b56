"""Strategic stochastic sampling: jump past the next level to time (1 - gamma) t', then add noise to come back up to t'."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space, sigma_at, time_of
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@sampler(
    "tcd",
    title="TCD",
    paper="Zheng et al. 2024, Trajectory Consistency Distillation (arXiv 2402.19159), Algorithm 4",
    stochastic=True,
    aliases=("TCDScheduler",),
)
def tcd(x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, gamma: float = 0.3) -> Steps:
    """``gamma`` 0 is deterministic DDIM, 1 nearly consistency sampling. t is the time of the model's trained noise levels."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        past = min(sigma_next, sigma_at(parametrisation, (1 - gamma) * time_of(parametrisation, sigma_next)))
        scale, added = space.renoise(past, sigma_next)
        x = scale * space.mix(denoised, space.noise_in(x, denoised, sigma), past)
        if added > 0:
            x = x + added * noise(sigma, sigma_next)
    return x
