"""A small sampler of its own (second-order DPM-Solver++ on Karras levels), to look at a model while it trains and to measure it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import CLIPTokenizer

from gesso.model.seamless import make_seamless
from gesso.training.tokenizer import encode
from gesso_plugins.starter.autoencoder import decode_latents
from gesso_plugins.starter.config import DiffusionConfig
from gesso_plugins.starter.export import load_pipeline
from gesso_plugins.starter.networks import Denoiser
from gesso_plugins.starter.schedule import NoiseSchedule


@dataclass(frozen=True)
class SamplingConfig:
    """How pictures are made for contact sheets and the evaluation."""

    size: int = 128
    steps: int = 20
    guidance: float = 1.5
    sigma_min: float = 0.03
    sigma_max: float = 40.0
    batch: int = 20


def karras_levels(config: SamplingConfig, rho: float = 7.0) -> list[float]:
    """Karras et al. 2022, equation 5, with a final zero."""
    ramp = torch.linspace(0, 1, config.steps, dtype=torch.float64)
    low, high = config.sigma_min ** (1 / rho), config.sigma_max ** (1 / rho)
    return [*((high + ramp * (low - high)) ** rho).tolist(), 0.0]


@dataclass(frozen=True)
class Sampler:
    """A model ready to make pictures from prompts."""

    model: Denoiser
    vae: Any
    tokenizer: CLIPTokenizer
    levels: NoiseSchedule

    @torch.no_grad()
    def images(self, prompts: Sequence[str], seeds: Sequence[int], config: SamplingConfig) -> npt.NDArray[np.uint8]:
        """One picture per prompt, each from its own seed."""
        parts = [
            self._batch(prompts[i : i + config.batch], seeds[i : i + config.batch], config) for i in range(0, len(prompts), config.batch)
        ]
        return np.concatenate(parts)

    def _batch(self, prompts: Sequence[str], seeds: Sequence[int], config: SamplingConfig) -> npt.NDArray[np.uint8]:
        side = config.size // 8
        shape = (self.model.unet.config.in_channels, side, side)
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        ids = torch.cat([encode(self.tokenizer, prompts), encode(self.tokenizer, [""] * len(prompts))])
        words = self.model.text(ids).last_hidden_state
        padding = make_seamless(self.model.unet)
        latents = self._solve(noise, words, karras_levels(config), config.guidance)
        padding.eject()
        return decode_latents(self.vae, latents)

    def _solve(self, noise: torch.Tensor, words: torch.Tensor, sigmas: list[float], guidance: float) -> torch.Tensor:
        """DPM-Solver++(2M), Lu et al. 2022, in the variance-exploding frame."""
        x: torch.Tensor = noise * (1 + sigmas[0] ** 2) ** 0.5
        old: torch.Tensor | None = None
        for i, (sigma, following) in enumerate(pairwise(sigmas)):
            denoised = self._denoise(x, sigma, words, guidance)
            if following == 0:
                return denoised
            h = float(np.log(sigma / following))
            target = denoised
            if old is not None:
                r = float(np.log(sigmas[i - 1] / sigma)) / h
                target = denoised + (denoised - old) / (2 * r)
            x = following / sigma * x - float(np.expm1(-h)) * target
            old = denoised
        return x

    def _denoise(self, x: torch.Tensor, sigma: float, words: torch.Tensor, guidance: float) -> torch.Tensor:
        """The guided prediction of the clean latents."""
        time = self.levels.timesteps(torch.tensor([float(np.log(sigma))]))
        scale = (1 + sigma**2) ** 0.5
        velocity = self.model.unet(torch.cat([x, x]) / scale, time.expand(2 * len(x)), words).sample
        denoised = torch.cat([x, x]) / scale**2 - velocity * (sigma / scale)
        conditional, blank = denoised.chunk(2)
        guided: torch.Tensor = blank + guidance * (conditional - blank)
        return guided


def load_sampler(folder: Path) -> Sampler:
    """A pipeline directory, ready to make pictures."""
    parts = load_pipeline(folder)
    return Sampler(parts.model, parts.vae, parts.tokenizer, NoiseSchedule(DiffusionConfig()))
