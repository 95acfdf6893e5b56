"""DPM-Solver++(2M) SDE: the multistep solver on the reverse SDE, in the midpoint and the Heun form.

With noise eta over h: x' = sigma'/sigma exp(-eta h) x + alpha' (1 - exp(-(1 + eta) h)) D + correction + sigma' sqrt(1 - exp(-2 eta h)) z.
The correction uses D' = (D - D_last) / h_last: midpoint takes half of h D' times the weight of D, Heun integrates it exactly (phi_2).
"""

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


def solve(  # noqa: PLR0913  (one algorithm behind two registered forms)
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float, s_noise: float, form: str
) -> Steps:
    """The common solver; ``form`` is midpoint or heun."""
    space = Space.of(parametrisation)
    last: Tensor | None = None
    h_last = math.inf
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        h = space.lam(sigma_next) - space.lam(sigma)
        alpha, k = space.alpha(sigma_next), (1 + eta) * h
        weight = -math.expm1(-k)
        x = sigma_next / sigma * math.exp(-eta * h) * x + alpha * weight * denoised
        if last is not None:
            correction = 0.5 * weight if form == "midpoint" else 1 - weight / k
            x = x + alpha * correction * (h / h_last) * (denoised - last)
        if eta > 0:
            x = x + sigma_next * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise * noise.brownian(sigma, sigma_next)
        last, h_last = denoised, h
    return x


@sampler(
    "dpmpp_2m_sde",
    title="DPM++ 2M SDE",
    paper="Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095), SDE-DPM-Solver++(2M), midpoint form",
    order=2,
    stochastic=True,
    aliases=("k_dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "CosineDPMSolverMultistepScheduler"),
)
def dpmpp_2m_sde(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is DPM++ 2M but for the first-order last step, 1 the reverse SDE."""
    return (yield from solve(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, s_noise=s_noise, form="midpoint"))


@sampler(
    "dpmpp_2m_sde_heun",
    title="DPM++ 2M SDE Heun",
    paper="Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095), SDE-DPM-Solver++(2M), Heun form",
    order=2,
    stochastic=True,
    aliases=("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
)
def dpmpp_2m_sde_heun(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is an exponential Adams-Bashforth method of second order, 1 the reverse SDE."""
    return (yield from solve(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, s_noise=s_noise, form="heun"))
