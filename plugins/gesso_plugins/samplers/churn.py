"""The churn of Karras et al. 2022, Algorithm 2, lines 4 to 6: more noise before a step. Shared by euler, heun and dpm_2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gesso.math import Space

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.math import NoiseSource
    from gesso.model import Parametrisation


@dataclass(frozen=True)
class Churn:
    """S_churn, S_tmin, S_tmax and S_noise; without S_churn nothing happens and no noise is drawn."""

    space: Space
    gamma: float
    s_tmin: float
    s_tmax: float
    s_noise: float

    @staticmethod
    def over(sigmas: Sequence[float], parametrisation: Parametrisation, settings: tuple[float, float, float, float]) -> Churn:
        """For one run: gamma = min(S_churn / N, sqrt(2) - 1)."""
        s_churn, s_tmin, s_tmax, s_noise = settings
        return Churn(Space.of(parametrisation), min(s_churn / max(len(sigmas) - 1, 1), math.sqrt(2) - 1), s_tmin, s_tmax, s_noise)

    def __call__(self, x: Tensor, sigma: float, noise: NoiseSource) -> tuple[Tensor, float]:
        """(x, sigma) -> (x_hat, sigma_hat), where the ratio sigma / alpha has grown by 1 + gamma."""
        if self.gamma == 0 or not self.s_tmin <= sigma <= self.s_tmax:
            return x, sigma
        raised = self.space.from_ratio(self.space.ratio(sigma) * (1 + self.gamma))
        if raised == sigma:
            return x, sigma
        scale, added = self.space.renoise(sigma, raised)
        return scale * x + added * self.s_noise * noise(sigma, raised), raised
