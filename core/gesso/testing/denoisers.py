"""Denoisers that need no model: exact ones for distributions with closed forms, and a smooth one for comparing trajectories."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from gesso.engine import Denoised
from gesso.math import Space
from gesso.model import Parametrisation


@cache
def epsilon_model() -> Parametrisation:
    """The noise levels of Stable Diffusion 1.5: 1000 levels, "scaled linear" beta from 0.00085 to 0.012."""
    first, last = math.sqrt(0.00085), math.sqrt(0.012)
    kept, sigmas = 1.0, []
    for i in range(1000):
        kept *= 1 - (first + i / 999 * (last - first)) ** 2
        sigmas.append(math.sqrt((1 - kept) / kept))
    return Parametrisation("epsilon", tuple(sigmas))


@cache
def flow_model() -> Parametrisation:
    """A rectified flow with 1000 levels from 0.001 to 1."""
    return Parametrisation("flow", tuple((i + 1) / 1000 for i in range(1000)))


class Gaussian:
    """The exact denoiser of N(m, S) over channels, each pixel independent: D = m + alpha S (alpha^2 S + sigma^2)^-1 (x - alpha m).

    mean: (C,), covariance: (C, C), float64. `solve` follows the probability-flow ODE exactly.
    """

    def __init__(self, model: Parametrisation, mean: Tensor, covariance: Tensor) -> None:
        self.space = Space.of(model)
        self.mean = mean.view(1, -1, 1, 1)
        self.variances, self.axes = torch.linalg.eigh(covariance)

    def __call__(self, x: Tensor, sigma: float) -> Denoised:
        """Answer a request of a sampler."""
        alpha = self.space.alpha(sigma)
        d = self.mean + self._along(alpha * self.variances / (alpha**2 * self.variances + sigma**2), x - alpha * self.mean)
        return Denoised(d.to(x), d.to(x))

    def start(self, unit: Tensor, sigma: float) -> Tensor:
        """Unit noise brought to the exact distribution at level sigma."""
        alpha = self.space.alpha(sigma)
        return alpha * self.mean + self._along((alpha**2 * self.variances + sigma**2).sqrt(), unit)

    def solve(self, x: Tensor, sigma: float, target: float) -> Tensor:
        """Move x from level sigma along the probability-flow ODE to level ``target``."""
        here, there = self.space.alpha(sigma), self.space.alpha(target)
        growth = ((there**2 * self.variances + target**2) / (here**2 * self.variances + sigma**2)).sqrt()
        return there * self.mean + self._along(growth, x - here * self.mean)

    def _along(self, factors: Tensor, x: Tensor) -> Tensor:
        """Multiply by ``factors`` along the principal axes."""
        matrix = self.axes @ torch.diag(factors) @ self.axes.T
        return torch.einsum("ij,bjhw->bihw", matrix.to(x.dtype), x)


class Consistency(Gaussian):
    """The exact consistency function of a Gaussian: x at any level goes to the end of its own trajectory (for lcm and tcd)."""

    def __call__(self, x: Tensor, sigma: float) -> Denoised:
        """Answer a request of a sampler."""
        d = self.solve(x, sigma, 0.0)
        return Denoised(d, d)


class Mixture:
    """The exact denoiser of a mixture of Gaussians, each pixel and channel independent."""

    def __init__(self, model: Parametrisation, weights: list[float], means: list[float], deviations: list[float]) -> None:
        self.space = Space.of(model)
        self.parts = list(zip(weights, means, deviations, strict=True))

    @property
    def mean(self) -> float:
        """The mean of the mixture."""
        return sum(w * m for w, m, _ in self.parts)

    @property
    def variance(self) -> float:
        """The variance of the mixture."""
        return sum(w * (s**2 + (m - self.mean) ** 2) for w, m, s in self.parts)

    def __call__(self, x: Tensor, sigma: float) -> Denoised:
        """Answer a request of a sampler."""
        alpha = self.space.alpha(sigma)
        logs, means = [], []
        for weight, m, s in self.parts:
            variance = alpha**2 * s**2 + sigma**2
            logs.append(math.log(weight) - 0.5 * math.log(variance) - 0.5 * (x - alpha * m) ** 2 / variance)
            means.append(m + alpha * s**2 / variance * (x - alpha * m))
        shares = torch.softmax(torch.stack(logs), dim=0)
        d = (shares * torch.stack(means)).sum(0)
        return Denoised(d, d)


class Wavy:
    """A smooth non-linear denoiser of no distribution, whose unconditional prediction differs: trajectories tell samplers apart."""

    def __init__(self, model: Parametrisation) -> None:
        self.space = Space.of(model)

    def __call__(self, x: Tensor, sigma: float) -> Denoised:
        """Answer a request of a sampler."""
        scaled = x / math.hypot(self.space.alpha(sigma), sigma)
        level = math.atan(sigma)
        return Denoised(torch.tanh(1.3 * scaled + 0.4 * level), 0.8 * torch.sin(scaled - 0.3 * level))
