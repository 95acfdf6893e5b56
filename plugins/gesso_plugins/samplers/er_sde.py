"""ER-SDE: the reverse SDE with a noise scale phi(tau) that is chosen for few steps; phi(tau) = tau is the ODE, tau^2 the usual SDE.

With y = x / alpha and tau = sigma / alpha, variation of constants gives y' = r y + phi(tau') integral of D d(1 / phi) from tau to tau',
r = phi(tau') / phi(tau), plus noise of variance tau'^2 - r^2 tau^2. For the Taylor polynomial of D at tau, by parts:
y' = r y + (1 - r) D + D' (u + phi' I_0) + D'' (u^2 / 2 + phi' I_1) with u = tau' - tau and
I_k = integral of (t - tau)^k / phi(t) from tau' to tau.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space
from gesso.math.quadrature import integral
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


def _phi(tau: float) -> float:
    """The paper's SDE 5 (appendix A.8)."""
    return tau * (math.exp(tau**0.3) + 10)


def _moment(tau: float, tau_next: float, k: int) -> float:
    """I_k, integrated over log t, where the integrand is smooth."""
    return integral(lambda s: (math.exp(s) - tau) ** k / _phi(math.exp(s)) * math.exp(s), math.log(tau_next), math.log(tau))


@sampler(
    "er_sde",
    title="ER-SDE",
    paper="Cui et al. 2023, Elucidating the Solution Space of Extended Reverse-Time SDE (arXiv 2309.06169), ER-SDE-Solver-3",
    order=2,
    stochastic=True,
)
def er_sde(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, order: int = 3, s_noise: float = 1.0
) -> Steps:
    """``order`` is how many terms of the Taylor polynomial are taken; its derivatives are plain backward differences, as in the authors'
    code, so that the third term lowers the error but the method stays of second order.
    """
    space = Space.of(parametrisation)
    taus: list[float] = []
    derivatives: list[Tensor] = []
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        denoised = (yield x, sigma).denoised
        if sigma_next == 0:
            return denoised
        tau, tau_next = space.ratio(sigma), space.ratio(sigma_next)
        taus, last, derivatives = [tau, *taus][:3], derivatives, [denoised]
        for k in range(1, min(order, len(taus))):
            derivatives.append((derivatives[k - 1] - last[k - 1]) / ((tau - taus[k]) / k))
        r, u = _phi(tau_next) / _phi(tau), tau_next - tau
        y = r * x / space.alpha(sigma) + (1 - r) * denoised
        for k, derivative in enumerate(derivatives[1:], start=1):
            y = y + (u**k / k + _phi(tau_next) * _moment(tau, tau_next, k - 1)) * derivative
        y = y + math.sqrt(tau_next**2 - (r * tau) ** 2) * s_noise * noise(sigma, sigma_next)
        x = space.alpha(sigma_next) * y
    return x
