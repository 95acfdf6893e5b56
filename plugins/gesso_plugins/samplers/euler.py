"""Euler's method on the probability-flow ODE dx/dsigma = (x - D) / sigma, which has the same form in both spaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space
from gesso.plugin import sampler
from gesso_plugins.samplers.churn import Churn

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@sampler(
    "euler",
    title="Euler",
    paper="Karras et al. 2022 (arXiv 2206.00364), Algorithm 2 without the correction",
    aliases=("k_euler", "EulerDiscreteScheduler", "EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler"),
)
def euler(  # noqa: PLR0913  (Karras's four S_*)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource,
    parametrisation: Parametrisation,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Steps:
    """``s_churn`` > 0 makes it stochastic: noise is added before each step within s_tmin..s_tmax."""
    churn = Churn.over(sigmas, parametrisation, (s_churn, s_tmin, s_tmax, s_noise))
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma_hat = churn(x, sigma, noise)
        denoised = (yield x, sigma_hat).denoised
        x = x + (x - denoised) * ((sigma_next - sigma_hat) / sigma_hat)
    return x


@sampler(
    "euler_cfg_pp",
    title="Euler CFG++",
    paper="Chung et al. 2024 (arXiv 2406.08070)",
    aliases=("DDIM CFG++", "ddim_cfg_pp"),
)
def euler_cfg_pp(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation) -> Steps:
    """Guided x0, unconditional noise: x' = alpha' D + sigma' (x - alpha U) / sigma. Without guidance it is Euler."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(sigmas):
        reply = yield x, sigma
        x = space.mix(reply.denoised, space.noise_in(x, reply.uncond, sigma), sigma_next)
    return x
