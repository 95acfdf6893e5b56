"""DPM-Solver-fast: third-order single steps at even distances in lambda, with lower orders for the evaluations that are left over.

Only the ends and the length of the schedule count. One evaluation of the budget is kept for the last step, from the lowest level to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gesso.math import Space
from gesso.plugin import sampler
from gesso_plugins.samplers.singlestep import one_step

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


@sampler(
    "dpm_fast",
    title="DPM fast",
    paper="Lu et al. 2022, DPM-Solver (arXiv 2206.00927), DPM-Solver-fast",
    order=3,
    aliases=("k_dpm_fast",),
)
def dpm_fast(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation) -> Steps:
    """As many evaluations as the schedule has steps."""
    space = Space.of(parametrisation)
    levels = [sigma for sigma in space.finite(sigmas) if sigma > 0]
    to_zero = sigmas[-1] == 0
    budget = len(sigmas) - 1 - to_zero
    if budget > 0 and len(levels) > 1:
        count, rest = divmod(budget, 3)
        orders = [3] * (count - 1) + [2, 1] if rest == 0 else [3] * count + [rest]
        lam, end = space.lam(levels[0]), space.lam(levels[-1])
        ends = [lam + (end - lam) * (i + 1) / len(orders) for i in range(len(orders))]
        for order, lam_next in zip(orders, ends, strict=True):
            x = (yield from one_step(space, x, lam, lam_next, order))[1]
            lam = lam_next
    if to_zero:
        x = (yield x, levels[-1]).denoised
    return x
