"""The networks of this family together, and the file that holds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import CLIPTokenizer

from gesso.training import ema
from gesso.training.storage import ModelFile
from gesso_plugins.vaegan.config import NetworkConfig
from gesso_plugins.vaegan.networks import Critic, Generator, ImageEncoder, TextEncoder

BUDGET = 4_000_000
"""Bytes of a file that may ship: half of what all families of DALL-E's lineage have together."""


@dataclass
class Networks(ema.Trained):
    """All four, with the vocabulary that words go through, as the average and the checkpoint see them."""

    config: NetworkConfig
    tokenizer: CLIPTokenizer
    words: TextEncoder
    encoder: ImageEncoder
    generator: Generator
    critic: Critic

    @staticmethod
    def new(config: NetworkConfig, tokenizer: CLIPTokenizer) -> Networks:
        """Untrained ones, from torch's global random numbers."""
        return Networks(
            config,
            tokenizer,
            TextEncoder(config, tokenizer),
            ImageEncoder(config.encoder, config.latent, config.words),
            Generator(config),
            Critic(config.critic, config.words, spectral=config.spectral),
        )

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"words": self.words, "encoder": self.encoder, "generator": self.generator, "critic": self.critic}

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor, and the critic's estimates of its singular vectors."""
        estimates = {f"critic.{name}": value for name, value in self.critic.named_buffers()}
        return ema.tensors_of(**self.parts) | estimates


FILE = ModelFile(
    name="gesso.vaegan",
    title="VAE-GAN",
    command="gesso train vaegan",
    of=NetworkConfig.of,
    new=Networks.new,
    words="words.model.text_model.embeddings.token_embedding.weight",
)
"""The kind of file that holds them."""
