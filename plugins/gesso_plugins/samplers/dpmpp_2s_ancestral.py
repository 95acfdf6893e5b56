"""DPM-Solver++(2S) with ancestral noise: the prediction at the middle (in lambda) stands for the whole step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space
from gesso.plugin import sampler
from gesso_plugins.samplers.steps import guided

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


def _dpmpp_2s(  # noqa: PLR0913  (one algorithm behind two registered forms)
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float, s_noise: float, cfg_pp: bool
) -> Steps:
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(space.finite(sigmas)):
        d, shift = guided((yield x, sigma), cfg_pp)
        down, scale, up = space.ancestral(sigma, sigma_next, eta)
        if down > 0:
            lam, lam_down = space.lam(sigma), space.lam(down)
            middle = space.sigma((lam + lam_down) / 2)
            alpha = space.alpha(middle)
            x_2 = middle / sigma * x - alpha * math.expm1((lam - lam_down) / 2) * d + alpha * shift
            d, shift = guided((yield x_2, middle), cfg_pp)
        alpha = space.alpha(down)
        x = down / sigma * x - alpha * math.expm1(space.lam(sigma) - space.lam(down)) * d + alpha * shift
        if sigma_next > 0:
            x = scale * x + up * s_noise * noise(sigma, sigma_next)
    return x


@sampler(
    "dpmpp_2s_ancestral",
    title="DPM++ 2S a",
    paper="Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095), Algorithm 1 with r = 1/2, with the ancestral step of euler_ancestral",
    order=2,
    evaluations=2,
    stochastic=True,
    aliases=("k_dpmpp_2s_a",),
)
def dpmpp_2s_ancestral(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """``eta`` 0 is DPM-Solver++(2S), 1 the full noise of the forward process."""
    return (yield from _dpmpp_2s(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, s_noise=s_noise, cfg_pp=False))


@sampler(
    "dpmpp_2s_ancestral_cfg_pp",
    title="DPM++ 2S a CFG++",
    paper="Lu et al. 2022 (arXiv 2211.01095), Algorithm 1, with Chung et al. 2024 (arXiv 2406.08070)",
    order=2,
    evaluations=2,
    stochastic=True,
)
def dpmpp_2s_ancestral_cfg_pp(
    x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """Both stages follow the unconditional prediction and add alpha' (D - U). Without guidance it is DPM++ 2S a."""
    return (yield from _dpmpp_2s(x, sigmas, noise=noise, parametrisation=parametrisation, eta=eta, s_noise=s_noise, cfg_pp=True))
