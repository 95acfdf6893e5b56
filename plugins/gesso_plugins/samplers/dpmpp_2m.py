"""DPM-Solver++(2M): a second-order multistep solver in data prediction.

The exact solution over h = lambda' - lambda is x' = sigma'/sigma x + alpha' integral_0^h exp(s - h) D(lambda + s) ds (Lu et al.
2022). D is extrapolated linearly to the middle of the step from this and the last prediction: D + (D - D_last) / (2 r) with
r = h_last / h.
"""

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

    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


def _dpmpp_2m(x: Tensor, sigmas: Sequence[float], parametrisation: Parametrisation, cfg_pp: bool) -> Steps:
    space = Space.of(parametrisation)
    last: Tensor | None = None
    h_last = math.inf
    for sigma, sigma_next in pairwise(sigmas):
        d, shift = guided((yield x, sigma), cfg_pp)
        h = space.lam(sigma_next) - space.lam(sigma)
        middle = d if last is None or sigma_next == 0 else d + (d - last) * (h / (2 * h_last))
        alpha = space.alpha(sigma_next)
        x = sigma_next / sigma * x - alpha * math.expm1(-h) * middle + alpha * shift
        last, h_last = d, h
    return x


@sampler(
    "dpmpp_2m",
    title="DPM++ 2M",
    paper="Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095), Algorithm 2",
    order=2,
    aliases=("k_dpmpp_2m", "DPMSolverMultistepScheduler", "EDMDPMSolverMultistepScheduler"),
)
def dpmpp_2m(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation) -> Steps:
    """Two predictions a step's worth of accuracy for one evaluation; the first and the last step are of first order."""
    return (yield from _dpmpp_2m(x, sigmas, parametrisation, cfg_pp=False))


@sampler(
    "dpmpp_2m_cfg_pp",
    title="DPM++ 2M CFG++",
    paper="Lu et al. 2022 (arXiv 2211.01095), Algorithm 2, with Chung et al. 2024 (arXiv 2406.08070)",
    order=2,
)
def dpmpp_2m_cfg_pp(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation) -> Steps:
    """The solver on the unconditional prediction, plus alpha' (D - U) a step. Without guidance it is DPM++ 2M."""
    return (yield from _dpmpp_2m(x, sigmas, parametrisation, cfg_pp=True))
