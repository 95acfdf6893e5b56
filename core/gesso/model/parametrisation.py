"""How a model names its noise levels: what a schedule and a sampler must know of it, and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Prediction = Literal["epsilon", "v_prediction", "sample", "flow"]


@dataclass(frozen=True)
class Parametrisation:
    """sigmas: the model's trained noise levels, ascending, as Python floats. For discrete variance-preserving models
    sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t) (Karras et al. 2022, section 3); for rectified flow sigma_t is t in (0, 1].
    """

    prediction: Prediction
    sigmas: tuple[float, ...]

    @property
    def sigma_min(self) -> float:
        """The smallest trained noise level above zero."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> float:
        """The largest trained noise level."""
        return self.sigmas[-1]

    @property
    def is_flow(self) -> bool:
        """True where x = (1 - sigma) * x0 + sigma * noise; else x = x0 + sigma * noise."""
        return self.prediction == "flow"

    def shifted(self, by: float) -> Parametrisation:
        """Rectified flow with more of its levels at high noise: sigma -> by * sigma / (1 + (by - 1) * sigma) (Esser et al. 2024, arXiv
        2403.03206, equation 23).
        """
        return Parametrisation(self.prediction, tuple(by * sigma / (1 + (by - 1) * sigma) for sigma in self.sigmas))


@dataclass(frozen=True)
class Shift:
    """How the levels of a rectified flow move with the size of the picture, as Flux and its successors declare it.

    ``pixels``: the side of one token of the network in pixels. mu goes linearly from ``low`` at ``tokens[0]`` to ``high`` at
    ``tokens[1]`` and the shift is exp(mu), or mu itself where ``linear``. ``terminal``: the levels are then stretched so that the
    smallest is this one.
    """

    pixels: int
    tokens: tuple[int, int] = (256, 4096)
    low: float = 0.5
    high: float = 1.15
    linear: bool = False
    terminal: float | None = None

    def apply(self, parametrisation: Parametrisation, width: int, height: int) -> Parametrisation:
        """The levels for a picture of width x height pixels."""
        few, many = self.tokens
        count = (width // self.pixels) * (height // self.pixels)
        mu = self.low + (count - few) * (self.high - self.low) / (many - few)
        moved = parametrisation.shifted(mu if self.linear else math.exp(mu))
        if self.terminal is None:
            return moved
        stretch = (1 - self.terminal) / (1 - moved.sigma_min)
        return Parametrisation(moved.prediction, tuple(1 - (1 - sigma) * stretch for sigma in moved.sigmas))
