"""UniPC: a multistep predictor and a corrector of one order more that uses the prediction of the next step, at no further evaluation.

With hh = -h, D_0 now, D_k before at r_k = (lambda_k - lambda) / h (for the corrector also the new one at r = 1):
x' = sigma'/sigma x - alpha' expm1(hh) D_0 - alpha' B sum_k a_k (D_k - D_0) / r_k, where the a_k solve
sum_k r_k^(n-1) a_k = hh phi_{n+1}(hh) n! / B for n = 1, 2, ...; B(h) is hh, or expm1(hh) for the second form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gesso.math import Space, phi
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


def _advance(
    space: Space, x: Tensor, levels: tuple[float, float], history: Sequence[tuple[float, Tensor]], arrived: Tensor | None, bh2: bool
) -> Tensor:
    """Step x from levels[0] to levels[1]; ``history`` is (lambda, prediction), newest first; with ``arrived`` the corrector."""
    sigma, sigma_next = levels
    lam, d_0 = history[0]
    h = space.lam(sigma_next) - lam
    alpha = space.alpha(sigma_next)
    base = sigma_next / sigma * x - alpha * math.expm1(-h) * d_0
    points = [((lam_k - lam) / h, d_k) for lam_k, d_k in history[1:]] + ([] if arrived is None else [(1.0, arrived)])
    if not points:
        return base
    b = math.expm1(-h) if bh2 else -h
    if len(points) == 1:
        weights = [0.5]
    else:
        rows = [[r**n for r, _ in points] for n in range(len(points))]
        weights = np.linalg.solve(rows, [-h * phi(n + 2, -h) * math.factorial(n + 1) / b for n in range(len(points))]).tolist()
    for weight, (r, d_k) in zip(weights, points, strict=True):
        base = base - alpha * b * weight / r * (d_k - d_0)
    return base


def _unified(x: Tensor, sigmas: Sequence[float], space: Space, order: int, bh2: bool) -> Steps:
    history: list[tuple[float, Tensor]] = []
    corrected = x
    levels = (0.0, 0.0)
    for i, (sigma, sigma_next) in enumerate(pairwise(space.finite(sigmas))):
        denoised = (yield x, sigma).denoised
        corrected = _advance(space, corrected, levels, history, denoised, bh2) if history else x
        history = [(space.lam(sigma), denoised), *history][: min(order, len(sigmas) - 1 - i)]
        levels = (sigma, sigma_next)
        x = _advance(space, corrected, levels, history, None, bh2)
    return x


@sampler(
    "uni_pc",
    title="UniPC",
    paper="Zhao et al. 2023, UniPC (arXiv 2302.04867), UniP-p and UniC-p in data prediction, B(h) = h",
    order=3,
)
def uni_pc(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation, order: int = 3) -> Steps:
    """Lower orders at the start and towards the end, as in the paper's code."""
    return (yield from _unified(x, sigmas, Space.of(parametrisation), order, bh2=False))


@sampler(
    "uni_pc_bh2",
    title="UniPC BH2",
    paper="Zhao et al. 2023, UniPC (arXiv 2302.04867), UniP-p and UniC-p in data prediction, B(h) = exp(h) - 1",
    order=3,
    aliases=("UniPCMultistepScheduler",),
)
def uni_pc_bh2(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation, order: int = 3) -> Steps:
    """Like uni_pc; B differs in the two-point formulas at the start and end, which the paper finds better with guidance."""
    return (yield from _unified(x, sigmas, Space.of(parametrisation), order, bh2=True))
