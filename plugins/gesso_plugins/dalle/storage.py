"""The file of a model: one safetensors file in half precision whose metadata holds the sizes, the vocabulary and the record as JSON. It is
data alone; what is in it is checked before a network is built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTokenizer

from gesso.errors import ModelError
from gesso.library import Header, read_header
from gesso.training import ema
from gesso.training.files import write_atomically
from gesso.training.tokenizer import encode
from gesso.training.vocabulary import read_vocabulary, spelled
from gesso_plugins.dalle.autoencoder import Decoder, Encoder
from gesso_plugins.dalle.config import NetworkConfig
from gesso_plugins.dalle.transformer import Transformer, padded

FORMAT, VERSION = "gesso.dalle", "1"
BUDGET = 3_200_000
"""Bytes of a file that may ship, of the 8 MB that all families of DALL-E's lineage have together."""
TOKENS = "transformer.text_embedding.weight"
HINT = "Give a file that `gesso train dalle` wrote."


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


@dataclass(frozen=True)
class Told:
    """What a file's metadata says."""

    config: NetworkConfig
    tokenizer: CLIPTokenizer
    record: dict[str, Any]


def save_networks(path: Path, networks: Networks, record: dict[str, Any]) -> int:
    """Keep networks in half precision; the answer is the file's size in bytes."""
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "config": networks.config.as_json(),
        "vocabulary": spelled(networks.tokenizer),
        "record": json.dumps(record, sort_keys=True),
    }
    tensors = {name: value.detach().half().contiguous() for name, value in networks.named_tensors().items()}
    write_atomically(path, lambda target: save_file(tensors, target, metadata))
    return path.stat().st_size


def read_told(path: Path) -> Told:
    """The metadata of a file, checked; ModelError says what else the file is."""
    return _told(path, read_header(path))


def load_networks(path: Path) -> tuple[Networks, dict[str, Any]]:
    """Networks in full precision and their record; ModelError says what is wrong with a file, before anything of its size is made."""
    header = read_header(path)
    told = _told(path, header)
    with torch.device("meta"):
        wanted = Networks.new(told.config, told.tokenizer).named_tensors()
    found = {name: shape for name, (_, shape) in header.tensors.items()}
    if found != {name: tuple(value.shape) for name, value in wanted.items()}:
        raise ModelError(f"The tensors of {path} are not those of the networks that it describes.", hint=HINT)
    networks = Networks.new(told.config, told.tokenizer)
    networks.load_tensors({name: value.float() for name, value in load_file(path).items()})
    return networks, told.record


def _told(path: Path, header: Header) -> Told:
    words = header.metadata
    if words.get("format") != FORMAT:
        raise ModelError(f"{path} is no DALL-E of Gesso.", hint=HINT)
    if words.get("version") != VERSION:
        raise ModelError(f"{path} is a DALL-E of version {words.get('version')!r}; this Gesso reads {VERSION}.", hint=HINT)
    try:
        config = NetworkConfig.of(json.loads(words["config"]))
        tokenizer = read_vocabulary(words["vocabulary"])
        record = dict(json.loads(words["record"]))
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ModelError(f"The metadata of {path} cannot be read: {fault}.", hint=HINT) from fault
    rows = header.tensors.get(TOKENS, ("", (0,)))[1][0] - config.length
    if rows != len(tokenizer) or tokenizer.model_max_length != config.length:
        raise ModelError(f"The vocabulary in {path} has {len(tokenizer)} words, but its transformer knows {max(rows, 0)}.", hint=HINT)
    return Told(config, tokenizer, record)
