"""Ancestral sampling with Euler steps: solve down below the next level, then add fresh noise to reach it."""

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
    "euler_ancestral",
    title="Euler a",
    paper="Song et al. 2021, DDIM (arXiv 2010.02502), equation 12, in the sigma of k-diffusion; flow: LTX-Video",
    stochastic=True,
    aliases=("k_euler_a", "euler_a", "EulerAncestralDiscreteScheduler", "LTXEulerAncestralRFScheduler"),
)
def euler_ancestral(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is Euler, 1 the full noise of the forward process."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        down, scale, up = space.ancestral(sigma, sigma_next, eta)
        x = x + (x - denoised) / sigma * (down - sigma)
        if sigma_next > 0:
            x = scale * x + up * s_noise * noise(sigma, sigma_next)
    return x


@sampler(
    "euler_ancestral_cfg_pp",
    title="Euler a CFG++",
    paper="Chung et al. 2024 (arXiv 2406.08070), with the ancestral step of euler_ancestral",
    stochastic=True,
)
def euler_ancestral_cfg_pp(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """The clean image from the guided prediction, the old noise from the unconditional one. Without guidance it is Euler a."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        reply = yield x, sigma
        down, scale, up = space.ancestral(sigma, sigma_next, eta)
        x = space.mix(reply.denoised, space.noise_in(x, reply.uncond, sigma), down)
        if sigma_next > 0:
            x = scale * x + up * s_noise * noise(sigma, sigma_next)
    return x
