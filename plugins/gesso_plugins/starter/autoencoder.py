"""Stage 2: the autoencoder. Trained with circular padding on whole tiles, then rescaled so that its latents have unit variance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import CaptionedSource
from gesso.training.muon import build_optimiser, set_rate
from gesso.training.rate import rate
from gesso.training.renders import RenderStore, Request, Universe
from gesso_plugins.starter.config import AutoencoderConfig, DataConfig
from gesso_plugins.starter.losses import anchor_loss, gabor_bank, psnr, reconstruction_loss

Images = npt.NDArray[np.uint8]
Report = Callable[[int, dict[str, float]], bool]


@dataclass(frozen=True)
class ImagePools:
    """Renders in memory: small ones for most steps, large ones for some."""

    small: Images
    large: Images


def draw_pools(store: RenderStore, source: CaptionedSource, data: DataConfig) -> ImagePools:
    """The pools of the recipe, drawn where they are not on disk yet."""
    pools = []
    for size, count in ((data.small_size, data.autoencoder_small), (data.size, data.autoencoder_large)):
        store.ensure(source, Request(Universe.AUTOENCODER, size), count)
        pools.append(store.images(Universe.AUTOENCODER, size, count))
    return ImagePools(*pools)


def to_tensor(images: Images) -> torch.Tensor:
    """Bytes (N, H, W, 3) to floats (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)


def to_bytes(images: torch.Tensor) -> Images:
    """Floats in [-1, 1] to bytes (N, H, W, 3)."""
    values = images.detach().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return values.permute(0, 2, 3, 1).contiguous().numpy()


def pick_batch(pools: ImagePools, config: AutoencoderConfig, seed: int, step: int) -> torch.Tensor:
    """The images of a step, rolled at random over the torus; every few steps large ones, as many pixels."""
    rng = np.random.default_rng([seed, 20, step])
    large = len(pools.large) > 0 and step % config.large_every == config.large_every - 1
    pool = pools.large if large else pools.small
    count = max(1, config.batch * pools.small.shape[1] ** 2 // pool.shape[1] ** 2)
    rows = [np.roll(pool[i], rng.integers(0, pool.shape[1], 2), (0, 1)) for i in rng.integers(0, len(pool), count)]
    return to_tensor(np.stack(rows))


def train_autoencoder(vae: Any, pools: ImagePools, config: AutoencoderConfig, seed: int, report: Report) -> None:
    """Run the stage; `report(step, terms)` says whether to go on."""
    optimiser = build_optimiser([vae], config.matrix_learning_rate, config.learning_rate)
    bank = gabor_bank()
    vae.train()
    for step in range(config.steps):
        set_rate(optimiser, rate(step, warmup=50, start_decay=config.steps // 4, steps=config.steps, final=0.02))
        torch.manual_seed(seed * 1_000_003 + step)
        images = pick_batch(pools, config, seed, step)
        wrap = np.random.default_rng([seed, 21, step]).random() >= config.zero_padding_share
        padding = make_seamless(vae, wrap, wrap)
        posterior = vae.encode(images).latent_dist
        made = vae.decode(posterior.sample()).sample
        terms = reconstruction_loss(made, images, bank, config.texture_weight)
        terms["anchor"] = config.anchor_weight * anchor_loss(posterior.mean, images)
        terms["kl"] = config.kl_weight * posterior.kl().mean() / posterior.mean[0].numel()
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        padding.eject()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 5.0)
        optimiser.step()
        if not report(step, {name: float(value.detach()) for name, value in terms.items()} | {"loss": float(loss.detach())}):
            break
    vae.eval()


@torch.no_grad()
def encode_images(vae: Any, images: Images, batch: int = 32) -> torch.Tensor:
    """Latents (posterior means) of whole tiles."""
    padding = make_seamless(vae)
    parts = [vae.encode(to_tensor(images[i : i + batch])).latent_dist.mean for i in range(0, len(images), batch)]
    padding.eject()
    return torch.cat(parts)


@torch.no_grad()
def decode_latents(vae: Any, latents: torch.Tensor, batch: int = 16) -> Images:
    """Tiles from latents."""
    padding = make_seamless(vae)
    parts = [to_bytes(vae.decode(latents[i : i + batch]).sample) for i in range(0, len(latents), batch)]
    padding.eject()
    return np.concatenate(parts)


def measure_psnr(vae: Any, images: Images) -> float:
    """Fidelity of encoding and decoding."""
    made = decode_latents(vae, encode_images(vae, images))
    return psnr(to_tensor(made), to_tensor(images))


@torch.no_grad()
def normalise_latents(vae: Any, images: Images) -> None:
    """Give each latent channel zero mean and unit variance through the two 1x1 convolutions around them; decoding is unchanged."""
    latents = encode_images(vae, images)
    mean = latents.mean((0, 2, 3))
    std = latents.std((0, 2, 3))
    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:channels] /= std[:, None, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - mean) / std
    quant.bias[channels:] -= 2 * std.log()
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= std[None, :, None, None]
