"""The border of discrete variance-preserving models: noise levels in, timesteps and scaled inputs out; eps, v and x0 end here.

Letters as in Karras et al. 2022 (arXiv 2206.00364), section 3: x = x0 + sigma * noise, sigma_t = sqrt((1 - abar_t) / abar_t).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gesso.errors import ModelError
from gesso.model.parametrisation import Parametrisation, Prediction

ZERO_SNR = 2.0**-24
"""Stands for abar_T = 0 (Lin et al. 2023, arXiv 2305.08891), as diffusers has it: an infinite sigma would be of no use."""


def parametrisation_of(config: Mapping[str, Any]) -> Parametrisation:
    """From the scheduler's configuration in a diffusers directory."""
    prediction = config.get("prediction_type", "epsilon")
    known: dict[object, Prediction] = {"epsilon": "epsilon", "v_prediction": "v_prediction", "sample": "sample"}
    if prediction not in known:
        raise ModelError(f"The model predicts {prediction!r}; this family knows {', '.join(map(str, known))}.")
    abar = torch.cumprod(1.0 - _betas(config), dim=0)
    if config.get("rescale_betas_zero_snr"):
        abar = _zero_snr(abar)
    abar = abar.to(torch.float64)
    return Parametrisation(known[prediction], tuple(((1.0 - abar) / abar).sqrt().tolist()))


def _betas(config: Mapping[str, Any]) -> Tensor:
    """Float32 as in diffusers, so that the noise levels agree to the last bit."""
    trained = config.get("trained_betas")
    if trained is not None:
        return torch.tensor(trained, dtype=torch.float32)
    steps = int(config.get("num_train_timesteps", 1000))
    start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    if not (2 <= steps <= 10_000 and 0.0 < start <= end < 1.0):
        raise ModelError(f"The model's noise schedule makes no sense: {steps} steps from {start} to {end}.")
    shape = config.get("beta_schedule", "linear")
    if shape == "linear":
        return torch.linspace(start, end, steps, dtype=torch.float32)
    if shape == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float32) ** 2
    if shape == "squaredcos_cap_v2":
        return _cosine_betas(steps)
    raise ModelError(f"The model's noise schedule {shape!r} is not known; known are linear, scaled_linear, squaredcos_cap_v2.")


def _cosine_betas(steps: int) -> Tensor:
    """Nichol and Dhariwal 2021 (arXiv 2102.09672), equation 17."""

    def kept(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    return torch.tensor([min(1 - kept((i + 1) / steps) / kept(i / steps), 0.999) for i in range(steps)], dtype=torch.float32)


def _zero_snr(abar: Tensor) -> Tensor:
    """Lin et al. 2023, algorithm 1: shift and scale sqrt(abar) so that the last is zero and the first stays."""
    root = abar.sqrt()
    first, last = root[0].clone(), root[-1].clone()
    rescaled = ((root - last) * first / (first - last)) ** 2
    rescaled[-1] = ZERO_SNR
    return rescaled


@dataclass(frozen=True)
class Level:
    """What noise levels (B,) mean to a network: ``timestep`` (B,), whole on the trained levels; ``scale``, which brings x to unit variance
    (c_in = 1 / sqrt(sigma^2 + 1)); and the factors that make x0 of x and its output. A factor has no dimensions where all rows agree, else
    it is (B, 1, 1, 1).
    """

    timestep: Tensor
    scale: Tensor
    skip: Tensor | None
    out: Tensor | None

    def x0(self, x: Tensor, output: Tensor) -> Tensor:
        """``skip * x - out * output``; without a factor x stays as it is, or the output is x0 itself."""
        if self.out is None:
            return output
        return (x if self.skip is None else x * self.skip) - self.out * output


class Border:
    """Between a sampler's (x, sigma) and a network's (input, timestep)."""

    def __init__(self, parametrisation: Parametrisation) -> None:
        self._prediction = parametrisation.prediction
        self._log_sigmas = [math.log(sigma) for sigma in parametrisation.sigmas]  # Python floats: not every device has float64
        self._known = lru_cache(maxsize=1024)(self._level)

    def at(self, sigma: Tensor) -> Level:
        """Sigma (B,) on any device -> factors and timesteps there. The jobs of a model meet the same levels again and again, so the newest
        are kept.
        """
        return self._known(tuple(sigma.tolist()), sigma.device)

    def _level(self, sigmas: tuple[float, ...], device: torch.device) -> Level:
        def column(factor: Callable[[float], float]) -> Tensor:
            alike = sigmas.count(sigmas[0]) == len(sigmas)  # one number multiplies to the same bits in half the time
            values = factor(sigmas[0]) if alike else [factor(s) for s in sigmas]
            found = torch.tensor(values, dtype=torch.float32, device=device)
            return found if alike else found.view(-1, 1, 1, 1)

        timestep = torch.tensor([self._timestep(s) for s in sigmas], dtype=torch.float32, device=device)
        scale = column(lambda s: (s * s + 1.0) ** -0.5)
        if self._prediction == "epsilon":
            return Level(timestep, scale, None, column(lambda s: s))
        if self._prediction == "v_prediction":  # v = alpha * noise - sigma_vp * x0 (Salimans and Ho 2022, arXiv 2202.00512, appendix D)
            return Level(timestep, scale, column(lambda s: 1.0 / (s * s + 1.0)), column(lambda s: s * (s * s + 1.0) ** -0.5))
        return Level(timestep, scale, None, None)

    def _timestep(self, sigma: float) -> float:
        """Linear in log sigma between the trained levels."""
        logs = self._log_sigmas
        level = min(max(math.log(sigma), logs[0]), logs[-1]) if sigma > 0.0 else logs[0]
        low = min(max(bisect_right(logs, level) - 1, 0), len(logs) - 2)
        t = low + (level - logs[low]) / (logs[low + 1] - logs[low])
        nearest = round(t)
        return float(nearest) if abs(t - nearest) < 1e-4 else t
