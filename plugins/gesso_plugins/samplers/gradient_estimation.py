"""Gradient estimation: denoising as approximate gradient descent on the distance to the data, with the noise sharpened by its last change.

e_bar = gamma e + (1 - gamma) e_last lessens the error of the estimate where it changes slowly between steps.
"""

from __future__ import annotations

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


def _estimate(x: Tensor, sigmas: Sequence[float], space: Space, gamma: float, cfg_pp: bool) -> Steps:
    last: Tensor | None = None
    for sigma, sigma_next in pairwise(sigmas):
        prediction, shift = guided((yield x, sigma), cfg_pp)
        d = (x - prediction) / sigma
        d_bar = d if last is None else gamma * d + (1 - gamma) * last
        x = x + (sigma_next - sigma) * d_bar + space.alpha(sigma_next) * shift
        last = d
    return x


@sampler(
    "gradient_estimation",
    title="Gradient Estimation",
    paper="Permenter and Yuan 2024 (arXiv 2306.04848)",
)
def gradient_estimation(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation, gamma: float = 2.0) -> Steps:
    """``gamma`` 1 is Euler, 1.5 would be Adams-Bashforth for equal steps; the paper finds 2 best."""
    return (yield from _estimate(x, sigmas, Space.of(parametrisation), gamma, cfg_pp=False))


@sampler(
    "gradient_estimation_cfg_pp",
    title="Gradient Estimation CFG++",
    paper="Permenter and Yuan 2024 (arXiv 2306.04848), with Chung et al. 2024 (arXiv 2406.08070)",
)
def gradient_estimation_cfg_pp(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation, gamma: float = 2.0) -> Steps:
    """The method on the unconditional prediction, plus alpha' (D - U) a step. Without guidance it is gradient_estimation."""
    return (yield from _estimate(x, sigmas, Space.of(parametrisation), gamma, cfg_pp=True))
