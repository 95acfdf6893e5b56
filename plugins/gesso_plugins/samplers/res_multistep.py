"""RES, multistep: the second-order exponential Adams-Bashforth method in data prediction, with ancestral and CFG++ forms.

x' = sigma'/sigma x + alpha' (b_1 D + b_2 D_last), where b_1 and b_2 integrate exp(s - h) against the line through the last two predictions:
b_2 = h phi_2(-h) / c, b_1 = h phi_1(-h) - b_2, c = -h_last / h. These weights satisfy all order conditions of the paper; DPM++ 2M takes
(1 - exp(-h)) / 2 in place of h phi_2(-h). In the ancestral form h and h_last are the lengths of the solves, down to sigma_down: D
changes along the solve, and the noise that is added after it has mean zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space, phi
from gesso.plugin import sampler
from gesso_plugins.samplers.steps import guided

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


def _res(  # noqa: PLR0913  (one algorithm behind four registered forms)
    x: Tensor, sigmas: Sequence[float], space: Space, *, noise: NoiseSource | None, eta: float, s_noise: float, cfg_pp: bool
) -> Steps:
    last: Tensor | None = None
    h_last = math.inf
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        d, shift = guided((yield x, sigma), cfg_pp)
        down, scale, up = space.ancestral(sigma, sigma_next, eta)
        if down == 0:
            x = d + shift
        else:
            h, alpha = space.lam(down) - space.lam(sigma), space.alpha(down)
            x = down / sigma * x + alpha * (-math.expm1(-h) * d + shift)
            if last is not None:
                x = x + alpha * h * phi(2, -h) * (h / h_last) * (d - last)
            last, h_last = d, h
        if noise is not None and sigma_next > 0:
            x = scale * x + up * s_noise * noise(sigma, sigma_next)
    return x


@sampler(
    "res_multistep",
    title="RES multistep",
    paper="Zhang et al. 2023, Refined Exponential Solver (arXiv 2308.02157), multistep form",
    order=2,
)
def res_multistep(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation) -> Steps:
    """One evaluation a step; the first and the last step are of first order."""
    return (yield from _res(x, sigmas, Space.of(parametrisation), noise=None, eta=0.0, s_noise=1.0, cfg_pp=False))


@sampler(
    "res_multistep_cfg_pp",
    title="RES multistep CFG++",
    paper="Zhang et al. 2023 (arXiv 2308.02157) with Chung et al. 2024 (arXiv 2406.08070)",
    order=2,
)
def res_multistep_cfg_pp(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation) -> Steps:
    """The solver on the unconditional prediction, plus alpha' (D - U) a step. Without guidance it is res_multistep."""
    return (yield from _res(x, sigmas, Space.of(parametrisation), noise=None, eta=0.0, s_noise=1.0, cfg_pp=True))


@sampler(
    "res_multistep_ancestral",
    title="RES multistep a",
    paper="Zhang et al. 2023 (arXiv 2308.02157) with the ancestral step of euler_ancestral",
    order=2,
    stochastic=True,
)
def res_multistep_ancestral(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is res_multistep, 1 the full noise of the forward process."""
    return (yield from _res(x, sigmas, Space.of(parametrisation), noise=noise, eta=eta, s_noise=s_noise, cfg_pp=False))


@sampler(
    "res_multistep_ancestral_cfg_pp",
    title="RES multistep a CFG++",
    paper="Zhang et al. 2023 (arXiv 2308.02157) with Chung et al. 2024 (arXiv 2406.08070) and the ancestral step of euler_ancestral",
    order=2,
    stochastic=True,
)
def res_multistep_ancestral_cfg_pp(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """Both changes at once. Without guidance it is res_multistep_ancestral."""
    return (yield from _res(x, sigmas, Space.of(parametrisation), noise=noise, eta=eta, s_noise=s_noise, cfg_pp=True))
