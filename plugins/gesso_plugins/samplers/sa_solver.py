"""SA-Solver: stochastic Adams methods; a multistep predictor, and a corrector that shares its noise and sees the new prediction.

With noise strength tau over h: x' = sigma'/sigma exp(-tau^2 h) x + alpha' sum_j b_j D_j + sigma' sqrt(1 - exp(-2 tau^2 h)) z, where the b_j
integrate (1 + tau^2) exp(-(1 + tau^2)(lambda' - s)) against the Lagrange polynomials of the nodes (equations 14 and 17).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space, exponential_weights, time_of
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


def _adams(
    space: Space, x: Tensor, levels: tuple[float, float], nodes: Sequence[tuple[float, Tensor]], tau: float, z: Tensor | float
) -> Tensor:
    sigma, sigma_next = levels
    lam, lam_next = space.lam(sigma), space.lam(sigma_next)
    h = lam_next - lam
    new = sigma_next / sigma * math.exp(-(tau**2) * h) * x + sigma_next * math.sqrt(-math.expm1(-2 * tau**2 * h)) * z
    weights = exponential_weights([node for node, _ in nodes], lam, lam_next, 1 + tau**2)
    for weight, (_, prediction) in zip(weights, nodes, strict=True):
        new = new + space.alpha(sigma_next) * weight * prediction
    return new


def _solve(  # noqa: PLR0913  (one algorithm behind two registered forms)
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float,
    orders: tuple[int, int], evaluate_again: bool,
) -> Steps:
    space, last_time = Space.of(parametrisation), len(parametrisation.sigmas) - 1
    predictor, corrector = orders
    levels = space.finite(sigmas)
    history = [(space.lam(levels[0]), (yield x, levels[0]).denoised)]
    for sigma, sigma_next in pairwise(levels):
        if sigma_next == 0:
            return history[0][1]
        tau = eta if 0.2 <= time_of(parametrisation, sigma) / last_time <= 0.8 else 0.0
        z = noise(sigma, sigma_next) if tau > 0 else 0.0
        predicted = _adams(space, x, (sigma, sigma_next), history[:predictor], tau, z)
        arrived = (space.lam(sigma_next), (yield predicted, sigma_next).denoised)
        x = predicted if corrector == 0 else _adams(space, x, (sigma, sigma_next), [arrived, *history][:corrector], tau, z)
        if evaluate_again:
            arrived = (arrived[0], (yield x, sigma_next).denoised)
        history = [arrived, *history][: max(orders)]
    return x


@sampler(
    "sa_solver",
    title="SA-Solver",
    paper="Xue et al. 2023, SA-Solver (arXiv 2309.05019), Algorithm 1 (PEC)",
    order=3,
    stochastic=True,
    aliases=("SASolverScheduler",),
)
def sa_solver(  # noqa: PLR0913  (the solver's three options)
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation,
    eta: float = 1.0, predictor: int = 3, corrector: int = 4,
) -> Steps:
    """Noise of strength ``eta`` in the middle 60 % of the trained times; orders of predictor and corrector (0: none) count predictions."""
    orders = (predictor, corrector)
    return (yield from _solve(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, orders=orders, evaluate_again=False))


@sampler(
    "sa_solver_pece",
    title="SA-Solver PECE",
    paper="Xue et al. 2023, SA-Solver (arXiv 2309.05019), Algorithm 1 with a second evaluation after the corrector (PECE)",
    order=3,
    evaluations=2,
    stochastic=True,
)
def sa_solver_pece(  # noqa: PLR0913  (the solver's three options)
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation,
    eta: float = 1.0, predictor: int = 3, corrector: int = 4,
) -> Steps:
    """Like sa_solver, but the prediction that is remembered is that of the corrected x."""
    orders = (predictor, corrector)
    return (yield from _solve(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, orders=orders, evaluate_again=True))
