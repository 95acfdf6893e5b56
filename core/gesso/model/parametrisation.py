"""How a model names its noise levels: what a schedule and a sampler must know of it, and nothing else."""

from __future__ import annotations

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
