"""Captioned renders in memory, growing as shards appear on disk. It draws no batch: what a step sees is its training's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from transformers import CLIPTokenizer

from gesso.training.renders import RenderStore, Shard, Universe
from gesso.training.tokenizer import encode


class Pool:
    """Renders of one size with their captions, their ids and their labels. still: they are shown as they are, never rolled or mirrored."""

    def __init__(self, store: RenderStore, size: int, tokenizer: CLIPTokenizer, still: bool = False) -> None:
        self.store, self.size, self.tokenizer, self.still = store, size, tokenizer, still
        self.captions: list[str] = []
        self.labels: list[Mapping[str, str]] = []
        self._images: list[npt.NDArray[np.uint8]] = []
        self._ids: list[torch.Tensor] = []

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def shards(self) -> int:
        """How many shards are in memory."""
        return len(self._images)

    def refresh(self, most: int | None = None) -> None:
        """Take in what has been drawn since, up to `most` shards in all."""
        there = self.store.shards(Universe.TRAIN, self.size)
        for number in range(self.shards, there if most is None else min(most, there)):
            self.take(self.store.load(Universe.TRAIN, self.size, number))

    def take(self, shard: Shard) -> None:
        """Take one shard in."""
        self._images.append(shard.images)
        self._ids.append(encode(self.tokenizer, shard.captions))
        self.captions.extend(shard.captions)
        self.labels.extend(shard.labels)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """One picture (S, S, 3)."""
        picture: npt.NDArray[np.uint8] = self._images[index // self.store.shard][index % self.store.shard]
        return picture

    def ids(self, index: list[int]) -> torch.Tensor:
        """Token ids (N, L)."""
        return torch.stack([self._ids[i // self.store.shard][i % self.store.shard] for i in index])

    def moved(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """One picture rolled over its torus and, every second time, mirrored; as it is where all are to stay still."""
        if self.still:
            return self.image(index)
        rolled = np.roll(self.image(index), rng.integers(0, self.size, 2), (0, 1))
        return rolled[:, ::-1] if rng.random() < 0.5 else rolled
