"""The networks of this family together, and the file that holds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import CLIPTokenizer

from gesso.training import ema
from gesso.training.storage import ModelFile
from gesso_plugins.vaegan.config import NetworkConfig
from gesso_plugins.vaegan.networks import Critic, Generator, ImageEncoder, TextEncoder

BUDGET = 2_200_000
"""Bytes of a file that may ship: what the 8 MB of all families of DALL-E's lineage leave beside the two others."""


@dataclass
class Painter(ema.Trained):
    """What pictures are made with, and the vocabulary that words go through: all that a file holds."""

    config: NetworkConfig
    tokenizer: CLIPTokenizer
    words: TextEncoder
    generator: Generator

    @staticmethod
    def new(config: NetworkConfig, tokenizer: CLIPTokenizer) -> Painter:
        """Untrained, from torch's global random numbers."""
        return Painter(config, tokenizer, TextEncoder(config, tokenizer), Generator(config))

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor."""
        return ema.tensors_of(words=self.words, generator=self.generator)


@dataclass
class Networks(ema.Trained):
    """All that is trained: the painter, and the encoder and the critic that teach it."""

    painter: Painter
    encoder: ImageEncoder
    critic: Critic

    @staticmethod
    def beside(painter: Painter) -> Networks:
        """An untrained encoder and critic for a painter."""
        config = painter.config
        encoder = ImageEncoder(config.encoder, config.latent, config.words)
        return Networks(painter, encoder, Critic(config.critic, config.words, spectral=config.spectral))

    @property
    def words(self) -> TextEncoder:
        """Of the painter."""
        return self.painter.words

    @property
    def generator(self) -> Generator:
        """Of the painter."""
        return self.painter.generator

    @property
    def tokenizer(self) -> CLIPTokenizer:
        """Of the painter."""
        return self.painter.tokenizer

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor, and the critic's estimates of its singular vectors."""
        estimates = {f"critic.{name}": value for name, value in self.critic.named_buffers()}
        return self.painter.named_tensors() | ema.tensors_of(encoder=self.encoder, critic=self.critic) | estimates


FILE = ModelFile(
    name="gesso.vaegan",
    title="VAE-GAN",
    command="gesso train vaegan",
    of=NetworkConfig.of,
    new=Painter.new,
    words="words.model.text_model.embeddings.token_embedding.weight",
)
"""The kind of file that holds a painter."""
