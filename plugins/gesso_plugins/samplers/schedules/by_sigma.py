"""Schedules that are formulas in sigma between the model's smallest and largest level."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gesso.math import Space
from gesso.plugin import schedule

if TYPE_CHECKING:
    from gesso.model import Parametrisation


def _down(parametrisation: Parametrisation, levels: Iterable[float]) -> list[float]:
    """The levels, rounding errors above the highest trained one cut off, and 0."""
    return [*(min(level, parametrisation.sigma_max) for level in levels), 0.0]


def ramp(steps: int) -> list[float]:
    """``steps`` even places from 0 to 1; a single one is 0."""
    return [i / (steps - 1) for i in range(steps)] if steps > 1 else [0.0]


@schedule("karras", title="Karras", paper="Karras et al. 2022 (arXiv 2206.00364), equation 5")
def karras(parametrisation: Parametrisation, steps: int, rho: float = 7.0) -> list[float]:
    """Even in sigma^(1 / rho)."""
    high, low = parametrisation.sigma_max ** (1 / rho), parametrisation.sigma_min ** (1 / rho)
    return _down(parametrisation, ((high + s * (low - high)) ** rho for s in ramp(steps)))


@schedule(
    "polyexponential",
    title="Polyexponential",
    paper="Crowson, k-diffusion (sampling.py, get_sigmas_polyexponential)",
)
def polyexponential(parametrisation: Parametrisation, steps: int, rho: float = 1.5) -> list[float]:
    """Log sigma is a power of the place: rho > 1 spends more steps at low noise."""
    low, high = math.log(parametrisation.sigma_min), math.log(parametrisation.sigma_max)
    return _down(parametrisation, (math.exp(low + (1 - s) ** rho * (high - low)) for s in ramp(steps)))


@schedule(
    "exponential",
    title="Exponential",
    paper="Song and Ermon 2019 (arXiv 1907.05600): geometric noise levels",
)
def exponential(parametrisation: Parametrisation, steps: int) -> list[float]:
    """Even in log sigma."""
    low, high = math.log(parametrisation.sigma_min), math.log(parametrisation.sigma_max)
    return _down(parametrisation, (math.exp(high + s * (low - high)) for s in ramp(steps)))


@schedule(
    "kl_optimal",
    title="KL Optimal",
    paper="Sabour et al. 2024, Align Your Steps (arXiv 2404.14507), the closed form for Gaussian data",
    aliases=("kloptimal",),
)
def kl_optimal(parametrisation: Parametrisation, steps: int) -> list[float]:
    """Even in the arctangent of sigma / alpha, which minimises the bound on the divergence for Gaussian data of unit variance."""
    space = Space.of(parametrisation)
    high, low = (math.atan(space.ratio(sigma)) for sigma in (parametrisation.sigma_max, parametrisation.sigma_min))
    return _down(parametrisation, (space.from_ratio(math.tan(high + s * (low - high))) for s in ramp(steps)))


@schedule(
    "vp",
    title="VP",
    paper="Song et al. 2021 (arXiv 2011.13456), in the sigma of Karras et al. 2022 (arXiv 2206.00364), table 1",
)
def vp(parametrisation: Parametrisation, steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> list[float]:
    """The continuous variance-preserving process at even times from 1 to eps_s, or to where the model's trained range ends."""
    space = Space.of(parametrisation)

    def time(ratio: float) -> float:
        """The root t of log(1 + ratio^2) = beta_d t^2 / 2 + beta_min t."""
        return (math.sqrt(beta_min**2 + 2 * beta_d * math.log1p(ratio**2)) - beta_min) / beta_d

    first = min(1.0, time(space.ratio(parametrisation.sigma_max)))
    last = max(eps_s, time(space.ratio(parametrisation.sigma_min)))
    times = (first + s * (last - first) for s in ramp(steps))
    return _down(parametrisation, (space.from_ratio(math.sqrt(math.expm1(beta_d * t**2 / 2 + beta_min * t))) for t in times))


@schedule("laplace", title="Laplace", paper="Hang and Gu 2024 (arXiv 2407.03297), the Laplace noise schedule")
def laplace(parametrisation: Parametrisation, steps: int, mu: float = 0.0, beta: float = 0.5) -> list[float]:
    """Quantiles of a Laplace distribution of log(sigma / alpha) around ``mu``, cut off at the model's trained range."""
    space = Space.of(parametrisation)

    def above(sigma: float) -> float:
        """The probability of more noise than sigma."""
        distance = (-space.lam(sigma) - mu) / beta
        return 1 - 0.5 * math.exp(distance) if distance < 0 else 0.5 * math.exp(-distance)

    def quantile(tail: float) -> float:
        """The sigma with this probability above it."""
        if tail == 0:
            return parametrisation.sigma_max
        return space.sigma(beta * math.log(2 * tail) - mu if tail < 0.5 else -beta * math.log(2 * (1 - tail)) - mu)

    first, last = above(parametrisation.sigma_max), above(parametrisation.sigma_min)
    return _down(parametrisation, (quantile(first + s * (last - first)) for s in ramp(steps)))


@schedule(
    "linear_quadratic",
    title="Linear quadratic",
    paper="Polyak et al. 2024, Movie Gen (arXiv 2410.13720); constants of Mochi 1",
)
def linear_quadratic(parametrisation: Parametrisation, steps: int, threshold: float = 0.025) -> list[float]:
    """The first half of the steps goes down by ``threshold`` in all, evenly; the rest follows a parabola that continues its slope."""
    if steps == 1:
        return [parametrisation.sigma_max, 0.0]
    linear = steps // 2
    quadratic = steps - linear
    slope = threshold / linear
    curve = (1 - threshold - slope * quadratic) / quadratic**2
    places = [slope * i for i in range(linear)] + [threshold + slope * i + curve * i**2 for i in range(quadratic)]
    return _down(parametrisation, ((1 - place) * parametrisation.sigma_max for place in places))
