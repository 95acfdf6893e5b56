"""DPM-Solver++ (stochastic), single step: two evaluations, each followed by noise from the image's one Brownian path.

It is written for y = x / alpha, whose process explodes with tau = sigma / alpha; in the variance-exploding space y = x, tau = sigma.
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
    "dpmpp_sde",
    title="DPM++ SDE",
    paper="Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095), Algorithm 1 on the reverse SDE, as in k-diffusion",
    order=2,
    evaluations=2,
    stochastic=True,
    aliases=("k_dpmpp_sde", "dpmpp_sde_gpu", "DPMSolverSDEScheduler"),
)
def dpmpp_sde(  # noqa: PLR0913  (the solver's three options)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource,
    parametrisation: Parametrisation,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Steps:
    """``r`` places the middle evaluation (in lambda); the path is shared by nested intervals, so more steps refine the same picture."""
    space, exploding = Space.of(parametrisation), Space(is_flow=False)

    def noisy(sigma: float, target: float, x: Tensor, denoised: Tensor) -> Tensor:
        tau, tau_next = space.ratio(sigma), space.ratio(target)
        down, _, up = exploding.ancestral(tau, tau_next, eta)
        fraction = down / tau
        y = fraction * x / space.alpha(sigma) + (1 - fraction) * denoised + up * s_noise * noise.brownian(sigma, target)
        return space.alpha(target) * y

    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        lam, lam_next = space.lam(sigma), space.lam(sigma_next)
        middle = space.sigma(lam + r * (lam_next - lam))
        x_2 = noisy(sigma, middle, x, denoised)
        denoised_2 = (yield x_2, middle).denoised
        x = noisy(sigma, sigma_next, x, denoised + (denoised_2 - denoised) / (2 * r))
    return x
