"""Heun's method: an Euler step, corrected with the slope at its end."""

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
    "heun",
    title="Heun",
    paper="Karras et al. 2022 (arXiv 2206.00364), Algorithms 1 and 2",
    order=2,
    evaluations=2,
    aliases=("k_heun", "HeunDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"),
)
def heun(  # noqa: PLR0913  (Karras's four S_*)
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
    """The step to 0 is Euler's: there is no slope at 0."""
    churn = Churn.over(sigmas, parametrisation, (s_churn, s_tmin, s_tmax, s_noise))
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma_hat = churn(x, sigma, noise)
        d = (x - (yield x, sigma_hat).denoised) / sigma_hat
        x_2 = x + d * (sigma_next - sigma_hat)
        if sigma_next > 0:
            d_2 = (x_2 - (yield x_2, sigma_next).denoised) / sigma_next
            x_2 = x + (d + d_2) / 2 * (sigma_next - sigma_hat)
        x = x_2
    return x
