"""Stage 3: the latents of all renders so far, kept on disk beside the renders and in memory for the denoiser's batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from gesso.plugin.datasets import CaptionedSource
from gesso.training.beside import Alone
from gesso.training.files import write_atomically
from gesso.training.renders import Materials, RenderStore, Request, Universe
from gesso.training.tokenizer import encode
from gesso_plugins.starter.autoencoder import encode_images


def weights_digest(module: Any) -> str:
    """A short name for a network's weights."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().float().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


class LatentSet:
    """Latents (half precision) and token ids of one universe and size; grows as shards of renders appear."""

    def __init__(self, store: RenderStore, universe: Universe, size: int, vae: Any, tokenizer: CLIPTokenizer) -> None:
        self.store = store
        self.universe = universe
        self.size = size
        self.vae = vae
        self.tokenizer = tokenizer
        self.folder = latent_folder(store, universe, size, vae)
        self._latents: list[torch.Tensor] = []
        self._ids: list[torch.Tensor] = []
        self.captions: list[str] = []
        self.labels: list[Mapping[str, str]] = []
        self.emphasis: Mapping[str, float] = {}
        self.settled: Collection[str] = ()
        self._reach = np.zeros(0)

    def __len__(self) -> int:
        return len(self._latents) * self.store.shard

    @property
    def side(self) -> int:
        """The side of a tile in latents."""
        return self.size // 8

    @property
    def channels(self) -> int:
        """How many numbers a place has."""
        return int(self._latents[0].shape[1])

    @property
    def shards(self) -> int:
        """How many shards are in memory."""
        return len(self._latents)

    def refresh(self, most: int | None = None, encoded_only: bool = False) -> None:
        """Take in the shards that have appeared since, up to `most` in all; encode those that nobody has encoded, or leave them."""
        available = self.store.shards(self.universe, self.size)
        wanted = available if most is None else min(most, available)
        for number in range(self.shards, wanted):
            if encoded_only and not self.path(number).exists():
                break
            latents, captions = self._shard(number)
            self._latents.append(latents)
            self._ids.append(encode(self.tokenizer, captions).to(torch.int16))
            self.captions.extend(captions)
            self.labels.extend(self.store.labels(self.universe, self.size, number))
        if self.emphasis and len(self._reach) < len(self):
            self._reach = np.cumsum([self._weight(label) for label in self.labels])

    def some(self, count: int, rng: np.random.Generator) -> list[int]:
        """Numbers of random renders, each material as often as its emphasis says, settled ones in their first layout alone."""
        if not self.emphasis:
            found: list[int] = rng.integers(0, len(self), count).tolist()
            return found
        chosen: list[int] = np.searchsorted(self._reach, rng.random(count) * self._reach[-1], side="right").tolist()
        return chosen

    def _weight(self, label: Mapping[str, str]) -> float:
        """How often a render is shown."""
        material = label["material"]
        return 0.0 if material in self.settled and label.get("layout", "0") != "0" else self.emphasis.get(material, 1.0)

    def path(self, number: int) -> Path:
        """Where the latents of a shard lie."""
        return self.folder / f"{number:05d}.safetensors"

    def batch(self, index: Sequence[int], shifts: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents, each rolled over the torus by its shift, and token ids."""
        shard = self.store.shard
        rows = [
            torch.roll(self._latents[i // shard][i % shard], shift, (1, 2)) if shift != (0, 0) else self._latents[i // shard][i % shard]
            for i, shift in zip(index, shifts, strict=True)
        ]
        return torch.stack(rows).float(), self.words(index)

    def words(self, index: Sequence[int]) -> torch.Tensor:
        """Token ids (N, L) of captions."""
        shard = self.store.shard
        return torch.stack([self._ids[i // shard][i % shard] for i in index]).long()

    def _shard(self, number: int) -> tuple[torch.Tensor, list[str]]:
        """One shard's latents and captions, from disk or freshly encoded."""
        path = self.path(number)
        if not path.exists():
            encode_shard(self.store, self.universe, self.size, number, self.vae)
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("latents"), json.loads(file.metadata()["captions"])


def latent_folder(store: RenderStore, universe: Universe, size: int, vae: Any) -> Path:
    """Where the latents of an autoencoder's making lie; another autoencoder's lie elsewhere."""
    return store.folder / "latents" / weights_digest(vae) / f"{universe.name.lower()}-{size}"


def encode_shard(store: RenderStore, universe: Universe, size: int, number: int, vae: Any) -> None:
    """Encode one shard of renders and keep the latents."""
    shard = store.load(universe, size, number)
    latents = encode_images(vae, shard.images).half()
    path = latent_folder(store, universe, size, vae) / f"{number:05d}.safetensors"
    write_atomically(path, lambda target: save_file({"latents": latents}, target, {"captions": json.dumps(shard.captions)}))


@dataclass(frozen=True)
class Growth:
    """What to draw and encode beside a training: so many renders of a size, of which materials, with the autoencoder in a folder."""

    target: int
    size: int
    materials: Materials
    autoencoder: Path


def grow(source: CaptionedSource, store: RenderStore, growth: Growth, alone: Alone = lambda: False) -> None:
    """Draw and encode training shards until the target is met, or the process that asked has gone."""
    vae = AutoencoderKL.from_pretrained(growth.autoencoder, local_files_only=True).eval()
    folder = latent_folder(store, Universe.TRAIN, growth.size, vae)
    for number in range(-(-growth.target // store.shard)):
        if alone():
            return
        if not store.path(Universe.TRAIN, growth.size, number).exists():
            store.render_shard(source, Request(Universe.TRAIN, growth.size, growth.materials), number)
        if not (folder / f"{number:05d}.safetensors").exists():
            encode_shard(store, Universe.TRAIN, growth.size, number, vae)


@dataclass(frozen=True)
class Drawn:
    """Random samples: latents (N, C, h, w), token ids (N, L) and the labels of the captions."""

    latents: torch.Tensor
    ids: torch.Tensor
    labels: list[Mapping[str, str]]


def draw_batch(data: LatentSet, batch: int, rng: np.random.Generator, rolled: float = 1.0) -> Drawn:
    """A random batch, so large a share of it rolled by whole latents."""
    index = data.some(batch, rng)
    moved = rng.random(batch) < rolled
    shifts = [(int(a), int(b)) if roll else (0, 0) for (a, b), roll in zip(rng.integers(0, data.side, (batch, 2)), moved, strict=True)]
    return Drawn(*data.batch(index, shifts), [data.labels[i] for i in index])
