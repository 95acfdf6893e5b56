"""Stage 5: the denoiser. One step of it draws everything it needs from (seed, step), so that a run resumed equals a run unbroken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from gesso.model.seamless import make_seamless
from gesso.training import precision
from gesso_plugins.starter.config import DiffusionConfig
from gesso_plugins.starter.latents import LatentSet, draw_batch
from gesso_plugins.starter.networks import Denoiser
from gesso_plugins.starter.recogniser import Guess
from gesso_plugins.starter.schedule import NoiseSchedule


@dataclass(frozen=True)
class Batch:
    """What one step sees. labels: of the captions; told (N,): which captions were not dropped; whole: tiles, not crops of them."""

    latents: torch.Tensor
    ids: torch.Tensor
    labels: list[Mapping[str, str]]
    told: torch.Tensor
    noise: torch.Tensor
    time: torch.Tensor
    wrap: bool
    whole: bool


def draw_step(
    data: LatentSet, config: DiffusionConfig, empty: torch.Tensor, levels: NoiseSchedule, key: tuple[int, int], rolled: float = 1.0
) -> Batch:
    """Everything random about step `key` = (seed, step): samples, rolls (of a share ``rolled`` of whole tiles), dropped captions, noise,
    noise levels, padding.

    Most steps see many small crops of tiles with zeros around them, the others whole tiles that wrap: crops teach local structure at a
    quarter of the cost of a sample (Wang et al. 2023, patch diffusion), whole tiles teach how a texture closes.
    """
    rng = np.random.default_rng([key[0], 40, key[1]])
    cropped = config.crop < data.side and rng.random() < config.crop_share
    tiles = max(1, config.batch * config.crop**2 // data.side**2)
    batch = config.batch if cropped else tiles
    drawn = draw_batch(data, batch, rng, 1.0 if cropped else rolled)
    latents = drawn.latents
    if cropped:
        latents = latents[..., : config.crop, : config.crop].contiguous()
    wrap = not cropped and bool(rng.random() >= config.zero_padding_share)
    dropped = torch.from_numpy(rng.random(batch) < config.caption_dropout)
    ids = torch.where(dropped[:, None], empty, drawn.ids)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(latents.shape, generator=generator)
    # Larger pictures hold more signal at equal noise: their levels are shifted up with their side.
    shift = 0.5 * np.log(latents.shape[-1] / config.crop)
    # Stratified levels: one normal quantile per sample, which takes most of the variance out of a batch's loss.
    uniform = (torch.randperm(batch, generator=generator) + torch.rand(batch, generator=generator)) / batch
    level = config.log_sigma_mean + shift + config.log_sigma_std * torch.special.ndtri(uniform.clamp(1e-4, 1 - 1e-4))
    return Batch(latents, ids, drawn.labels, ~dropped, noise, levels.timesteps(level), wrap, not cropped)


def velocity_loss(model: Denoiser, batch: Batch, levels: NoiseSchedule, half: bool = False) -> tuple[torch.Tensor, Guess]:
    """The mean squared error of the predicted velocity, without weights (the distribution of the levels says what matters), and what clean
    latents the velocity means.

    ``half``: the networks compute in bfloat16.

    Min-SNR weights were tried first: they all but silence the noisy end, where words decide colour and layout, and after 29 000 samples
    the captions still changed nothing.
    """
    noisy, velocity = levels.noisy(batch.latents, batch.noise, batch.time)
    words = precision.call(model.text, batch.ids, half=half).last_hidden_state
    padding = make_seamless(model.unet, batch.wrap, batch.wrap)
    try:
        made = precision.call(model.unet, noisy, batch.time, words, half=half).sample.float()
    finally:
        padding.eject()
    guess = Guess(levels.clean(noisy, made, batch.time), levels.log_level[batch.time], batch.labels, batch.told)
    return functional.mse_loss(made, velocity), guess


@torch.no_grad()
def validation_loss(model: Denoiser, data: LatentSet, levels: NoiseSchedule, batch: int = 32) -> float:
    """The plain velocity error on renders never trained on, at fixed noise and at levels from ln sigma = -2 to 3."""
    total, count = 0.0, len(data)
    generator = torch.Generator().manual_seed(7)
    grid = levels.timesteps(torch.linspace(-2, 3, count))
    for start in range(0, count, batch):
        index = list(range(start, min(count, start + batch)))
        latents, ids = data.batch(index, [(0, 0)] * len(index))
        noise = torch.randn(latents.shape, generator=generator)
        noisy, velocity = levels.noisy(latents, noise, grid[index])
        padding = make_seamless(model.unet)
        made = model.unet(noisy, grid[index], model.text(ids).last_hidden_state).sample
        padding.eject()
        total += float((made - velocity).square().mean((1, 2, 3)).sum())
    return total / count
