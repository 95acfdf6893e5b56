"""The two spaces in which samplers work, behind one set of formulas: x = alpha * x0 + sigma * noise.

Variance exploding (epsilon and v models, Karras et al. 2022): alpha = 1. Rectified flow (Liu et al. 2023): alpha = 1 - sigma.
A formula that is written with alpha, sigma and lambda = log(alpha / sigma) holds in both, and so needs no second version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.model import Parametrisation

_FLOW_CEILING = 1 - 1e-4
"""Where a flow sampler that needs a finite log-SNR begins instead of at pure noise."""


class Ancestral(NamedTuple):
    """A noisy step in two parts: solve down to ``sigma_down``, then x -> scale * x + sigma_up * noise, which lands at sigma_next."""

    sigma_down: float
    scale: float
    sigma_up: float


@dataclass(frozen=True)
class Space:
    """How x, x0 and noise go together at a level sigma."""

    is_flow: bool

    @staticmethod
    def of(parametrisation: Parametrisation) -> Space:
        """The space of a model."""
        return Space(parametrisation.is_flow)

    def alpha(self, sigma: float) -> float:
        """The weight of x0."""
        return 1 - sigma if self.is_flow else 1.0

    def ratio(self, sigma: float) -> float:
        """Sigma / alpha: the level of the variance-exploding process x / alpha. Infinite for a flow at pure noise."""
        if not self.is_flow:
            return sigma
        return sigma / (1 - sigma) if sigma < 1 else math.inf

    def from_ratio(self, ratio: float) -> float:
        """The sigma whose `ratio` this is."""
        if not self.is_flow:
            return ratio
        return ratio / (1 + ratio) if math.isfinite(ratio) else 1.0

    def lam(self, sigma: float) -> float:
        """Half the log-SNR, log(alpha / sigma): +inf at sigma 0, -inf for a flow at pure noise."""
        ratio = self.ratio(sigma)
        if ratio == 0:
            return math.inf
        return -math.log(ratio)

    def sigma(self, lam: float) -> float:
        """The sigma whose `lam` this is."""
        return self.from_ratio(math.exp(-lam))

    def finite(self, sigmas: Sequence[float]) -> list[float]:
        """The same levels, but where a flow starts at pure noise the first moves in, so that only the last has an infinite `lam`."""
        levels = list(sigmas)
        if self.is_flow and levels and levels[0] >= 1:
            levels[0] = max(_FLOW_CEILING, (1 + levels[1]) / 2) if len(levels) > 1 else _FLOW_CEILING
        return levels

    def mix(self, x0: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Clean signal and unit noise brought to level sigma."""
        return self.alpha(sigma) * x0 + sigma * noise

    def noise_in(self, x: Tensor, denoised: Tensor, sigma: float) -> Tensor:
        """The unit noise that x at level sigma > 0 holds if its clean signal is ``denoised``."""
        return (x - self.alpha(sigma) * denoised) / sigma

    def renoise(self, low: float, high: float) -> tuple[float, float]:
        """(scale, added) with scale * x + added * noise taking x from level ``low`` up to ``high``."""
        scale = self.alpha(high) / self.alpha(low)
        return scale, math.sqrt(max(0.0, high**2 - (scale * low) ** 2))

    def ancestral(self, sigma: float, sigma_next: float, eta: float = 1.0) -> Ancestral:
        """Split the step sigma -> sigma_next; eta 0 is deterministic, 1 the full amount of noise.

        Variance exploding: the posterior of the forward process (Song et al. 2021, DDIM, equation 16, written in sigma). Flow: down
        to sigma_next * (1 + eta * (sigma_next / sigma - 1)), then up along the forward process (as LTX-Video's ancestral sampler does).
        """
        if eta == 0 or sigma_next == 0:
            return Ancestral(sigma_next, 1.0, 0.0)
        if not self.is_flow:
            up = min(sigma_next, eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
            return Ancestral(math.sqrt(sigma_next**2 - up**2), 1.0, up)
        down = sigma_next * (1 + eta * (sigma_next / sigma - 1))
        return Ancestral(down, *self.renoise(down, sigma_next))
