"""A second-order method in two evaluations: the slope of the whole step is taken at its geometric middle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.plugin import sampler
from gesso_plugins.samplers.churn import Churn

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@sampler(
    "dpm_2",
    title="DPM2",
    paper="Karras et al. 2022 (arXiv 2206.00364), Algorithm 2, with the midpoint of DPM-Solver-2 (Lu et al. 2022, arXiv 2206.00927)",
    order=2,
    evaluations=2,
    aliases=("k_dpm_2", "kdpm_2", "KDPM2DiscreteScheduler"),
)
def dpm_2(  # noqa: PLR0913  (Karras's four S_*)
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
    """The step to 0 is Euler's: 0 has no geometric middle."""
    churn = Churn.over(sigmas, parametrisation, (s_churn, s_tmin, s_tmax, s_noise))
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma_hat = churn(x, sigma, noise)
        d = (x - (yield x, sigma_hat).denoised) / sigma_hat
        if sigma_next > 0:
            middle = math.sqrt(sigma_hat * sigma_next)
            x_2 = x + d * (middle - sigma_hat)
            d = (x_2 - (yield x_2, middle).denoised) / middle
        x = x + d * (sigma_next - sigma_hat)
    return x
