"""DPM-Solver-12 and -23: the step is as long as the difference of two orders allows. It cannot know how many evaluations it will take.

Only the ends of the schedule count. A last step goes from the lowest level to 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from gesso.math import Space
from gesso.plugin import sampler
from gesso_plugins.samplers.singlestep import one_step

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@sampler(
    "dpm_adaptive",
    title="DPM adaptive",
    paper="Lu et al. 2022, DPM-Solver (arXiv 2206.00927), DPM-Solver-12 and -23; step control as in k-diffusion",
    order=3,
    evaluations=0,
    aliases=("k_dpm_ad", "k_dpm_adaptive"),
)
def dpm_adaptive(  # noqa: PLR0913  (the options of a step controller)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    parametrisation: Parametrisation,
    order: Literal[2, 3] = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    accept_safety: float = 0.81,
) -> Steps:
    """``rtol`` and ``atol`` bound the root mean square of the difference; a step is taken again if it was too long."""
    space = Space.of(parametrisation)
    levels = [sigma for sigma in space.finite(sigmas) if sigma > 0]
    lam, end, h, x_last = space.lam(levels[0]), space.lam(levels[-1]), h_init, x
    while lam < end - 1e-5:
        lam_next = min(end, lam + h)
        low, high = yield from one_step(space, x, lam, lam_next, order)
        allowed = (rtol * low.abs().maximum(x_last.abs())).clamp_min(atol)
        error = float(((low - high) / allowed).square().mean().sqrt())
        factor = 1 + math.atan((error + 1e-8) ** (-1 / order) - 1)
        if factor >= accept_safety:
            x, x_last, lam = high, low, lam_next
        h *= factor
    if sigmas[-1] == 0:
        x = (yield x, levels[-1]).denoised
    return x
