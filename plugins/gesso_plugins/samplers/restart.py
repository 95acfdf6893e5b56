"""Restart: Heun's method, but once the noise is low it is raised again and part of the schedule repeated, which forgets earlier errors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import Space
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation
    from gesso_plugins.samplers.steps import Steps


def _path(space: Space, sigmas: Sequence[float], low: float, high: float, times: int) -> list[float]:
    """The schedule with its part between ``high`` and ``low`` (in sigma / alpha) repeated."""
    levels = [sigma for sigma in sigmas if sigma > 0]
    end = next((i for i, sigma in enumerate(levels) if space.ratio(sigma) <= low), len(levels) - 1)
    start = next((i for i, sigma in reversed(list(enumerate(levels[:end]))) if space.ratio(sigma) >= high), 0)
    return [*sigmas[: end + 1], *(times if start < end else 0) * [*sigmas[start : end + 1]], *sigmas[end + 1 :]]


@sampler(
    "restart",
    title="Restart",
    paper="Xu et al. 2023, Restart Sampling (arXiv 2306.14878)",
    order=2,
    evaluations=0,
    stochastic=True,
)
def restart(  # noqa: PLR0913  (the restart interval)
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource,
    parametrisation: Parametrisation,
    low: float = 0.1,
    high: float = 2.0,
    times: int = 1,
) -> Steps:
    """From the first level not above ``low`` (or the last above 0) back to the last not below ``high`` (or the first), ``times`` times."""
    space = Space.of(parametrisation)
    for sigma, sigma_next in pairwise(_path(space, space.finite(sigmas), low, high, times)):
        if sigma_next > sigma:
            scale, added = space.renoise(sigma, sigma_next)
            x = scale * x + added * noise(sigma, sigma_next)
            continue
        d = (x - (yield x, sigma).denoised) / sigma
        x_2 = x + d * (sigma_next - sigma)
        if sigma_next > 0:
            d_2 = (x_2 - (yield x_2, sigma_next).denoised) / sigma_next
            x_2 = x + (d + d_2) / 2 * (sigma_next - sigma)
        x = x_2
    return x
