"""What a training step sees, drawn from (seed, step): groups of one material, so that colour and scale have to tell them apart."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch.nn import functional
from transformers import CLIPTokenizer

from gesso.training.renders import RenderStore, Universe
from gesso.training.tokenizer import encode
from gesso_plugins.clip.networks import Images, to_pixels


class Pool:
    """Renders of one universe in memory with their captions' ids and their materials; grows as shards appear."""

    def __init__(self, store: RenderStore, universe: Universe, size: int, tokenizer: CLIPTokenizer) -> None:
        self.store = store
        self.universe = universe
        self.size = size
        self.tokenizer = tokenizer
        self.images: list[Images] = []
        self.captions: list[str] = []
        self.labels: list[dict[str, str]] = []
        self.members: dict[str, list[int]] = defaultdict(list)
        self._ids: list[torch.Tensor] = []

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def shards(self) -> int:
        """How many shards are in memory."""
        return len(self.images)

    def refresh(self, most: int | None = None) -> None:
        """Take in what has been drawn since, up to `most` shards in all."""
        there = self.store.shards(self.universe, self.size)
        for number in range(self.shards, there if most is None else min(most, there)):
            shard = self.store.load(self.universe, self.size, number)
            for i, label in enumerate(shard.labels):
                self.members[label["material"]].append(len(self.captions) + i)
                self.labels.append(dict(label))
            self.images.append(shard.images)
            self.captions.extend(shard.captions)
            self._ids.append(encode(self.tokenizer, shard.captions))

    def image(self, index: int) -> Images:
        """One picture."""
        picture: Images = self.images[index // self.store.shard][index % self.store.shard]
        return picture

    def ids(self, index: list[int]) -> torch.Tensor:
        """Token ids (N, L)."""
        return torch.stack([self._ids[i // self.store.shard][i % self.store.shard] for i in index])


def draw_batch(pool: Pool, count: int, kin: int, key: tuple[int, int], crop: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (N, 3, S, S) and ids (N, L) of step `key`: half of them in groups of `kin` pictures of one material, the others at random.

    Pictures are rolled over the torus and mirrored; then half of them are blurred a little, or each is cropped and made noisy: no verdict
    shall hang on the last detail.
    """
    rng = np.random.default_rng([key[0], 60, key[1]])
    names = sorted(pool.members)
    index = rng.integers(0, len(pool), count - count // 2).tolist()
    while len(index) < count:
        members = pool.members[names[int(rng.integers(len(names)))]]
        index += rng.choice(members, min(kin, count - len(index))).tolist()
    pictures = []
    for i in index:
        rolled = np.roll(pool.image(i), rng.integers(0, pool.size, 2), (0, 1))
        pictures.append(rolled[:, ::-1] if rng.random() < 0.5 else rolled)
    pixels = to_pixels(np.stack(pictures))
    return (_cropped if crop else _blurred)(pixels, rng), pool.ids(index)


def _blurred(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    soft = functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="circular"), 3, 1)
    count = len(pixels)
    weight = torch.from_numpy(rng.uniform(0, 1, count) * (rng.random(count) < 0.5)).float()
    return pixels.lerp(soft, weight[:, None, None, None])


def _cropped(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The corner of each, 70 to 100 % of a side (pictures are rolled already), at full size again, under up to 10 % of noise."""
    size = pixels.shape[-1]
    sides = rng.integers(round(0.7 * size), size + 1, len(pixels)).tolist()
    rows = [
        functional.interpolate(picture[None, :, :side, :side], size, mode="bicubic", antialias=True)
        for picture, side in zip(pixels, sides, strict=True)
    ]
    amount = torch.from_numpy(rng.uniform(0, 0.2, len(pixels))).float()[:, None, None, None]
    return torch.cat(rows) + amount * torch.from_numpy(rng.standard_normal(pixels.shape, dtype=np.float32))
