"""The networks of this family together, and the file that holds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import CLIPTokenizer

from gesso.training import ema
from gesso.training.storage import ModelFile
from gesso.training.tokenizer import encode
from gesso_plugins.dalle.autoencoder import Decoder, Encoder
from gesso_plugins.dalle.config import NetworkConfig
from gesso_plugins.dalle.transformer import Transformer, padded

BUDGET = 3_200_000
"""Bytes of a file that may ship, of the 8 MB that all families of DALL-E's lineage have together."""


@dataclass
class Networks(ema.Trained):
    """All three, with the vocabulary that words go through, as the average and the checkpoint see them."""

    config: NetworkConfig
    tokenizer: CLIPTokenizer
    encoder: Encoder
    decoder: Decoder
    transformer: Transformer

    @staticmethod
    def new(config: NetworkConfig, tokenizer: CLIPTokenizer) -> Networks:
        """Untrained ones, from torch's global random numbers."""
        return Networks(config, tokenizer, Encoder(config), Decoder(config), Transformer(config, len(tokenizer)))

    @property
    def autoencoder(self) -> list[nn.Module]:
        """What stage 1 trains."""
        return [self.encoder, self.decoder]

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"encoder": self.encoder, "decoder": self.decoder, "transformer": self.transformer}

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor."""
        return ema.tensors_of(**self.parts)

    def text(self, captions: list[str]) -> torch.Tensor:
        """The text tokens (N, L) of captions, with the padding of each place."""
        return self.padded(encode(self.tokenizer, captions))

    def padded(self, ids: torch.Tensor) -> torch.Tensor:
        """The same of ids that are encoded already."""
        return padded(ids, self.tokenizer.eos_token_id, len(self.tokenizer))


FILE = ModelFile(
    name="gesso.dalle",
    title="DALL-E",
    command="gesso train dalle",
    of=NetworkConfig.of,
    new=Networks.new,
    words="transformer.text_embedding.weight",
    places=True,
)
"""The kind of file that holds them."""
