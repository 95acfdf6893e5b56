"""Pictures that the denoiser draws itself while it learns, each one step of the sampler further with every step of the training.

The guesses that `velocity_loss` makes start from noisy renders, where half of the structure is given. What a user sees starts from noise
and from the denoiser's own mistakes; here the recogniser speaks of those (as rewards of a diffusion model's own samples do, Xu et al. 2023,
ReFL; Clark et al. 2024, DRaFT, of one step). No picture is drawn for it alone: the pass that learns is the pass that draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from gesso.model.seamless import make_seamless
from gesso.training import precision
from gesso_plugins.starter.config import DrawingConfig
from gesso_plugins.starter.latents import LatentSet
from gesso_plugins.starter.networks import Denoiser
from gesso_plugins.starter.recogniser import Guess
from gesso_plugins.starter.schedule import NoiseSchedule


class Drawings:
    """``config.count`` pictures in the making, asked for by captions of `data`. latents (N, C, h, w) of the variance-preserving process at
    the discrete times (N,); caption (N,): which sample's.
    """

    def __init__(self, data: LatentSet, levels: NoiseSchedule, config: DrawingConfig) -> None:
        self.data, self.levels, self.config = data, levels, config
        self.latents = torch.zeros(config.count, data.channels, data.side, data.side)
        self.time = torch.zeros(config.count, dtype=torch.long)
        self.caption = torch.zeros(config.count, dtype=torch.long)

    def guess(self, model: Denoiser, rng: np.random.Generator, half: bool = False) -> Guess:
        """What the denoiser makes of them now, with gradients; afterwards each is a step further (DDIM, Song et al. 2021), and in place of
        those that are done others have begun. rng: of the steps' lengths, and of what begins.
        """
        self._begin(rng)
        index = self.caption.tolist()
        words = precision.call(model.text, self.data.words(index), half=half).last_hidden_state
        padding = make_seamless(model.unet)
        try:
            made = precision.call(model.unet, self.latents, self.time, words, half=half).sample.float()
        finally:
            padding.eject()
        level = self.levels.log_level[self.time]
        clean = self.levels.clean(self.latents, made, self.time)
        self._advance(made.detach(), clean.detach(), level - torch.from_numpy(rng.uniform(*self.config.stride, len(level))).float())
        return Guess(clean, level, [self.data.labels[i] for i in index], torch.ones(len(index), dtype=torch.bool))

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that a checkpoint must keep of them."""
        return {"latents": self.latents, "time": self.time, "caption": self.caption}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on with those of a checkpoint, if it has as many."""
        if tensors and tensors["latents"].shape == self.latents.shape:
            self.latents, self.time, self.caption = (tensors[name] for name in ("latents", "time", "caption"))

    def _begin(self, rng: np.random.Generator) -> None:
        """New noise and a new caption in place of every picture that is done."""
        done = self.levels.log_level[self.time] < np.log(self.config.end)
        count = int(done.sum())
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.latents[done] = torch.randn((count, *self.latents.shape[1:]), generator=generator)
        self.time[done] = self.levels.timesteps(torch.full((count,), float(np.log(self.config.start))))
        self.caption[done] = torch.from_numpy(rng.integers(0, len(self.data), count))

    def _advance(self, velocity: torch.Tensor, clean: torch.Tensor, level: torch.Tensor) -> None:
        """To the noise `level` (N,): x_s = alpha_s x_0 + sigma_s eps, with the eps that the velocity means."""
        noise = self.levels.noise(self.latents, velocity, self.time)
        self.time = self.levels.timesteps(level)
        self.latents = self.levels.noisy(clean, noise, self.time)[0]
