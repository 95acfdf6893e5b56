"""DPM-Solver's single steps of order 1 to 3 (Lu et al. 2022, arXiv 2206.00927), shared by dpm_fast and dpm_adaptive."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING

from gesso.math import Space

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.engine import Denoised


def one_step(
    space: Space, x: Tensor, lam: float, lam_next: float, order: int
) -> Generator[tuple[Tensor, float], Denoised, tuple[Tensor, Tensor]]:
    """(result of one order less, result) of a step in ``order`` evaluations; with y = x / alpha and tau = exp(-lambda).

    Order 1: y - tau' expm1(h) e. Order 2: Algorithm 1 with r_1 = 1/2. Order 3: Algorithm 2 with r_1, r_2 = 1/3, 2/3.
    """
    h = lam_next - lam
    y = x / space.alpha(space.sigma(lam))
    r_1, r_2 = (1 / 3, 2 / 3) if order == 3 else (1 / 2, 1.0)

    def state(r: float, y: Tensor) -> tuple[Tensor, float]:
        sigma = space.sigma(lam + r * h)
        return space.alpha(sigma) * y, sigma

    def noise(u: Tensor, sigma: float, reply: Denoised) -> Tensor:
        return space.noise_in(u, reply.denoised, sigma)

    def weight(r: float) -> float:
        return math.exp(-lam - r * h) * math.expm1(r * h)

    e = noise(*(first := state(0.0, y)), (yield first))
    y_1 = y - weight(1.0) * e
    if order == 1:
        return state(1.0, y_1)[0], state(1.0, y_1)[0]
    e_1 = noise(*(second := state(r_1, y - weight(r_1) * e)), (yield second))
    y_2 = y_1 - weight(1.0) / (2 * r_1) * (e_1 - e)
    if order == 2:
        return state(1.0, y_1)[0], state(1.0, y_2)[0]
    bend = math.exp(-lam - r_2 * h) * (r_2 / r_1) * (math.expm1(r_2 * h) / (r_2 * h) - 1)
    e_2 = noise(*(third := state(r_2, y - weight(r_2) * e - bend * (e_1 - e))), (yield third))
    y_3 = y_1 - math.exp(-lam_next) / r_2 * (math.expm1(h) / h - 1) * (e_2 - e)
    return state(1.0, y_2)[0], state(1.0, y_3)[0]
