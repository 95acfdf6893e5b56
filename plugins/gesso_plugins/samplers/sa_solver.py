"""SA-Solver: stochastic Adams methods; a multistep predictor, and a corrector that shares its noise and sees the new prediction.

With noise strength tau over h: x' = sigma'/sigma exp(-tau^2 h) x + alpha' sum_j b_j D_j + sigma' sqrt(1 - exp(-2 tau^2 h)) z, where the b_j
integrate c exp(-c (lambda' - s)), c = 1 + tau^2, against the Lagrange polynomials of the nodes. ``simple`` takes
c h^2 / 2 as the weight of the slope in formulas with two nodes, as the authors' code does; the difference is of third order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space, exponential_weights, time_of
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@dataclass(frozen=True)
class _Adams:
    space: Space
    simple: bool

    def step(self, x: Tensor, levels: tuple[float, float], nodes: Sequence[tuple[float, Tensor]], tau: float, z: Tensor | float) -> Tensor:
        """Step x from levels[0] to levels[1]; ``nodes`` are (lambda, prediction), newest first."""
        sigma, sigma_next = levels
        lam, lam_next = self.space.lam(sigma), self.space.lam(sigma_next)
        h, c = lam_next - lam, 1 + tau**2
        places = [place for place, _ in nodes]
        weights = exponential_weights(places, lam, lam_next, c)
        if self.simple and len(nodes) == 2:
            slope = sum(weight * (place - lam) for weight, place in zip(weights, places, strict=True))
            change = (c * h**2 / 2 - slope) / (places[0] - places[1])
            weights = [weights[0] + change, weights[1] - change]
        new = sigma_next / sigma * math.exp(-(tau**2) * h) * x + sigma_next * math.sqrt(-math.expm1(-2 * tau**2 * h)) * z
        for weight, (_, prediction) in zip(weights, nodes, strict=True):
            new = new + self.space.alpha(sigma_next) * weight * prediction
        return new


def _solve(  # noqa: PLR0913  (one algorithm behind two registered forms)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource,
    parametrisation: Parametrisation,
    eta: float,
    orders: tuple[int, int],
    adams: _Adams,
    evaluate_again: bool,
) -> Steps:
    space, last_time = adams.space, len(parametrisation.sigmas) - 1
    predictor, corrector = orders
    levels = space.finite(sigmas)
    history = [(space.lam(levels[0]), (yield x, levels[0]).denoised)]
    for sigma, sigma_next in pairwise(levels):
        if sigma_next == 0:
            return history[0][1]
        tau = eta if 0.2 <= time_of(parametrisation, sigma) / last_time <= 0.8 else 0.0
        z = noise(sigma, sigma_next) if tau > 0 else 0.0
        predicted = adams.step(x, (sigma, sigma_next), history[:predictor], tau, z)
        arrived = (space.lam(sigma_next), (yield predicted, sigma_next).denoised)
        x = predicted if corrector == 0 else adams.step(x, (sigma, sigma_next), [arrived, *history][:corrector], tau, z)
        if evaluate_again:
            arrived = (arrived[0], (yield x, sigma_next).denoised)
        history = [arrived, *history][: max(orders)]
    return x


@sampler(
    "sa_solver",
    title="SA-Solver",
    paper="Xue et al. 2023, SA-Solver (arXiv 2309.05019), PEC",
    order=3,
    stochastic=True,
    aliases=("SASolverScheduler",),
)
def sa_solver(  # noqa: PLR0913  (the solver's options)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource,
    parametrisation: Parametrisation,
    eta: float = 1.0,
    predictor: int = 3,
    corrector: int = 4,
    simple: bool = False,
) -> Steps:
    """Noise of strength ``eta`` in the middle 60 % of the trained times; orders of predictor and corrector (0: none) count predictions."""
    adams, orders = _Adams(Space.of(parametrisation), simple), (predictor, corrector)
    solve = _solve(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, orders=orders, adams=adams, evaluate_again=False)
    return (yield from solve)


@sampler(
    "sa_solver_pece",
    title="SA-Solver PECE",
    paper="Xue et al. 2023, SA-Solver (arXiv 2309.05019), with a second evaluation after the corrector (PECE)",
    order=3,
    evaluations=2,
    stochastic=True,
)
def sa_solver_pece(  # noqa: PLR0913  (the solver's options)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource,
    parametrisation: Parametrisation,
    eta: float = 1.0,
    predictor: int = 3,
    corrector: int = 4,
    simple: bool = False,
) -> Steps:
    """Like sa_solver, but the prediction that is remembered is that of the corrected x."""
    adams, orders = _Adams(Space.of(parametrisation), simple), (predictor, corrector)
    solve = _solve(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, orders=orders, adams=adams, evaluate_again=True)
    return (yield from solve)
