"""A small autoencoder beside the large one, for pictures that are judged and thrown away: it shows in a few milliseconds about what the
large one would, as TAESD does for Stable Diffusion (Bohan 2023), and is distilled from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import nn
from torch.nn import functional

from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import CaptionedSource
from gesso.training.ema import Trained, tensors_of
from gesso.training.files import write_atomically
from gesso.training.muon import build_optimiser
from gesso.training.rate import rate
from gesso.training.renders import RenderStore
from gesso.training.run import Chore, Run
from gesso_plugins.starter.autoencoder import ImagePools, draw_pools, pick_batch
from gesso_plugins.starter.config import PreviewConfig, TrainConfig
from gesso_plugins.starter.export import load_pipeline
from gesso_plugins.starter.losses import gabor_bank, reconstruction_loss

FOLDER = "preview"


@dataclass
class Preview(Trained):
    """What is trained."""

    network: Any

    def modules(self) -> tuple[nn.Module, nn.Module]:
        """Both halves, in the order in which their tensors are named."""
        return self.network.encoder, self.network.decoder

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor by a name that says which half it belongs to."""
        return tensors_of(encoder=self.network.encoder, decoder=self.network.decoder)


def build_preview(config: PreviewConfig, latent_channels: int) -> Any:
    """An `AutoencoderTiny` for latents of so many channels."""
    return AutoencoderTiny(
        encoder_block_out_channels=(config.width,) * len(config.encoder),
        decoder_block_out_channels=(config.width,) * len(config.decoder),
        num_encoder_blocks=config.encoder,
        num_decoder_blocks=config.decoder,
        latent_channels=latent_channels,
    )


class Distillation:
    """One run: the large autoencoder that is imitated, the small one, and the pictures that both see."""

    def __init__(self, vae: Any, pools: ImagePools, config: TrainConfig) -> None:
        self.vae = vae.eval().requires_grad_(False)
        self.pools = pools
        self.config = config
        self.bank = gabor_bank()
        torch.manual_seed(config.seed)
        self.preview = Preview(build_preview(config.preview, vae.config.latent_channels))
        self.run = Run("preview", config)
        own = config.preview
        optimiser = build_optimiser(self.preview.modules(), own.matrix_learning_rate, own.learning_rate)
        self.run.train(self.preview, self.preview.modules(), optimiser, own.ema)
        self.run.resume()

    def loop(self) -> None:
        """Until its steps are done, its time is up or the process is asked to end."""
        config = self.config
        until = min(config.preview.steps, config.max_steps or config.preview.steps)
        chores = (
            Chore(lambda: self.run.log(until, "distilling"), steps=config.log_every),
            Chore(self.save, minutes=config.save_minutes),
        )
        self.run.loop(self._one_step, chores, until)
        self.save()

    def save(self) -> None:
        """A checkpoint, and the averaged network in half precision as diffusers writes it."""
        self.run.save(self.run.record())
        with self.run.average.applied():
            half = AutoencoderTiny.from_config(self.preview.network.config)
            half.load_state_dict(self.preview.network.state_dict())
            write_atomically(self.config.out / FOLDER, lambda target: half.half().save_pretrained(target))

    def _one_step(self) -> dict[str, float]:
        """Encode as the large one encodes, and decode as it decodes, also what is not yet clean."""
        config, step = self.config.preview, self.run.step
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        images = pick_batch(self.pools, self.config.autoencoder, self.config.seed + 2, step)
        wrap = bool(np.random.default_rng([self.config.seed, 23, step]).random() >= self.config.autoencoder.zero_padding_share)
        paddings = [make_seamless(network, wrap, wrap) for network in (self.vae, self.preview.network)]
        with torch.no_grad():
            latents = self.vae.encode(images).latent_dist.mode()
            unclean = latents + config.noise * torch.rand(len(latents), 1, 1, 1) * torch.randn_like(latents)
            wanted = self.vae.decode(unclean).sample
        made = self.preview.network.decode(unclean).sample
        terms = reconstruction_loss(made, wanted, self.bank, self.config.autoencoder.texture_weight)
        terms["latents"] = functional.l1_loss(self.preview.network.encode(images).latents, latents)
        for padding in paddings:
            padding.eject()
        factor = rate(step, warmup=20, start_decay=config.steps // 4, steps=config.steps, final=0.02)
        self.run.learn(torch.stack(list(terms.values())).sum(), factor, len(images))
        return {name: float(value.detach()) for name, value in terms.items()}


def distil_preview(source: CaptionedSource, config: TrainConfig, start: Path) -> Path:
    """Distil a small autoencoder from that of the pipeline directory `start`; the answer is a directory of its own."""
    pools = draw_pools(RenderStore(config.out / "renders", config.seed, config.data.shard), source, config.data)
    distillation = Distillation(load_pipeline(start).vae, pools, config)
    with distillation.run.opened():
        distillation.loop()
    return config.out / FOLDER
