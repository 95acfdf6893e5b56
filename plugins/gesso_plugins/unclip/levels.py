"""The noise that training adds: the variance-preserving process with Karlo's cosine schedule, x_t = a_t x_0 + s_t noise."""

from __future__ import annotations

import torch
from torch import Tensor

from gesso.model import Parametrisation
from gesso.model.border import parametrisation_of
from gesso.model.parametrisation import Prediction


def levels_of(timesteps: int, prediction: Prediction) -> Parametrisation:
    """The levels that a network of this prediction is trained on."""
    return parametrisation_of({"num_train_timesteps": timesteps, "beta_schedule": "squaredcos_cap_v2", "prediction_type": prediction})


class Levels:
    """a_t and s_t by t: with sigma = s / a, a = 1 / sqrt(1 + sigma^2)."""

    def __init__(self, timesteps: int) -> None:
        sigma = torch.tensor(levels_of(timesteps, "epsilon").sigmas, dtype=torch.float64)
        self.count = timesteps
        self._signal = (1 + sigma.square()).rsqrt().float()
        self._noise = (sigma * (1 + sigma.square()).rsqrt()).float()

    def times(self, count: int, rng: torch.Generator) -> Tensor:
        """One time for each of ``count`` samples, spread evenly: (count,) of whole numbers."""
        uniform = (torch.randperm(count, generator=rng) + torch.rand(count, generator=rng)) / count
        return (uniform * self.count).long().clamp_max(self.count - 1)

    def noisy(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """x_t, for samples of any number of dimensions."""
        shape = (-1, *(1,) * (clean.dim() - 1))
        return self._signal[time].view(shape) * clean + self._noise[time].view(shape) * noise
