"""The noise that training adds: the variance-preserving process with Karlo's cosine schedule, x_t = a_t x_0 + s_t noise. All networks
predict x_0: what is asked of the noise instead, where there is next to nothing but noise, says nothing of a picture's colour.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gesso.model import Parametrisation
from gesso.model.border import parametrisation_of

PREDICTION = "sample"
LIGHTEST, HEAVIEST = 1.0, 5.0
"""Between which the ratio of signal to noise weighs an error."""


def levels_of(timesteps: int) -> Parametrisation:
    """The levels that the networks are trained on."""
    return parametrisation_of({"num_train_timesteps": timesteps, "beta_schedule": "squaredcos_cap_v2", "prediction_type": PREDICTION})


class Levels:
    """a_t and s_t by t: with sigma = s / a, a = 1 / sqrt(1 + sigma^2)."""

    def __init__(self, timesteps: int) -> None:
        sigma = torch.tensor(levels_of(timesteps).sigmas, dtype=torch.float64)
        self.count = timesteps
        self._signal = (1 + sigma.square()).rsqrt().float()
        self._noise = (sigma * (1 + sigma.square()).rsqrt()).float()

    def times(self, count: int, rng: torch.Generator) -> Tensor:
        """One time for each of ``count`` samples, spread evenly: (count,) of whole numbers."""
        uniform = (torch.randperm(count, generator=rng) + torch.rand(count, generator=rng)) / count
        return (uniform * self.count).long().clamp_max(self.count - 1)

    def weighted(self, made: Tensor, clean: Tensor, time: Tensor) -> Tensor:
        """The squared error of x_0, weighed by the ratio of signal to noise, though never by less than 1 (Salimans and Ho 2022, section 4)
        nor by more than 5 (Hang et al. 2023, Min-SNR).
        """
        ratio = (self._signal[time] / self._noise[time]).square().clamp(LIGHTEST, HEAVIEST)
        error: Tensor = (made - clean).square().flatten(1).mean(1)
        return (ratio * error).mean()

    def noisy(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """x_t, for samples of any number of dimensions."""
        shape = (-1, *(1,) * (clean.dim() - 1))
        return self._signal[time].view(shape) * clean + self._noise[time].view(shape) * noise
