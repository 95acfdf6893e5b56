"""Multistep consistency sampling: jump to the clean image, add fresh noise of the next level."""

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
    "lcm",
    title="LCM",
    paper="Luo et al. 2023, Latent Consistency Models (arXiv 2310.04378), multistep sampling",
    stochastic=True,
    aliases=("LCMScheduler", "FlowMatchLCMScheduler"),
)
def lcm(x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation) -> Steps:
    """For consistency-distilled models in 2 to 8 steps; the boundary terms c_skip, c_out of the paper are 0 and 1 at its noise levels."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        x = (yield x, sigma).denoised
        if sigma_next > 0:
            x = space.mix(x, noise(sigma, sigma_next), sigma_next)
    return x
