"""The noise levels of the forward process."""

from __future__ import annotations

import torch

from gesso_plugins.starter.config import DiffusionConfig


class NoiseSchedule:
    """The variance-preserving process of the scheduler: x_t = alpha_t x_0 + sigma_t eps, with 1000 discrete levels."""

    def __init__(self, config: DiffusionConfig) -> None:
        betas = torch.linspace(config.beta_start**0.5, config.beta_end**0.5, config.timesteps, dtype=torch.float64).square()
        cumulative = torch.cumprod(1 - betas, 0)
        self.alpha = cumulative.sqrt().float()
        self.sigma = (1 - cumulative).sqrt().float()
        self.log_level = (0.5 * ((1 - cumulative) / cumulative).log()).float()

    def timesteps(self, log_sigma: torch.Tensor) -> torch.Tensor:
        """The discrete times nearest to levels ln(sigma / alpha)."""
        index = torch.searchsorted(self.log_level, log_sigma.contiguous()).clamp(1, len(self.log_level) - 1)
        below = (log_sigma - self.log_level[index - 1]).abs() < (self.log_level[index] - log_sigma).abs()
        return index - below.long()

    def noisy(self, clean: torch.Tensor, noise: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x_t and the velocity v = alpha eps - sigma x_0 (Salimans and Ho 2022)."""
        alpha = self.alpha[time][:, None, None, None]
        sigma = self.sigma[time][:, None, None, None]
        return alpha * clean + sigma * noise, alpha * noise - sigma * clean

    def clean(self, noisy: torch.Tensor, velocity: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """The x_0 that a velocity means: alpha x_t - sigma v."""
        alpha = self.alpha[time][:, None, None, None]
        sigma = self.sigma[time][:, None, None, None]
        return alpha * noisy - sigma * velocity

    def noise(self, noisy: torch.Tensor, velocity: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """The eps that a velocity means: sigma x_t + alpha v."""
        alpha = self.alpha[time][:, None, None, None]
        sigma = self.sigma[time][:, None, None, None]
        return sigma * noisy + alpha * velocity
