"""What a training step sees, drawn from (seed, stage, step): pictures, their embeddings, and the words of their captions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from gesso.training.pool import Pool
from gesso.training.renders import RenderStore, Shard
from gesso_plugins.unclip.networks import Clip


class Seen(Pool):
    """Renders in memory with their embeddings."""

    def __init__(self, store: RenderStore, size: int, clip: Clip, still: bool = False) -> None:
        super().__init__(store, size, clip.tokenizer, still)
        self.clip = clip
        self._embeddings: list[torch.Tensor] = []

    def take(self, shard: Shard) -> None:
        """Take one shard in, and look at it."""
        super().take(shard)
        self._embeddings.append(self.clip.see(shard.images))

    def embeddings(self, index: list[int]) -> torch.Tensor:
        """(N, D), of the pictures as they were drawn."""
        return torch.stack([self._embeddings[i // self.store.shard][i % self.store.shard] for i in index])

    def statistics(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation (1, D) of the first so many embeddings."""
        first = torch.cat(self._embeddings)[:count]
        return first.mean(0, keepdim=True), first.std(0, keepdim=True).clamp_min(1e-4)


@dataclass(frozen=True)
class Chance:
    """The random numbers of one step: ``draws`` says which renders, ``rng`` draws noise."""

    draws: np.random.Generator
    rng: torch.Generator

    @staticmethod
    def of(seed: int, stage: int, step: int) -> Chance:
        """The same for the same step, whatever came before."""
        rng = np.random.default_rng([seed, 61 + stage, step])
        return Chance(rng, torch.Generator().manual_seed(int(rng.integers(2**62))))

    def share(self, count: int, part: float) -> torch.Tensor:
        """Which of ``count`` are among a random ``part`` of all: (count,) of truth values."""
        return torch.rand(count, generator=self.rng) < part

    def noise(self, like: torch.Tensor) -> torch.Tensor:
        """Unit noise shaped like a tensor."""
        return torch.randn(like.shape, generator=self.rng)


def some(pool: Seen, count: int, chance: Chance) -> list[int]:
    """Numbers of renders."""
    found: list[int] = chance.draws.integers(0, len(pool), count).tolist()
    return found


def pictures(pool: Seen, index: list[int], chance: Chance) -> torch.Tensor:
    """(N, 3, S, S) in -1..1, rolled over the torus and mirrored."""
    stacked = np.stack([pool.moved(i, chance.draws) for i in index])
    return to_tensor(torch.from_numpy(np.ascontiguousarray(stacked)))


def crops(pool: Seen, index: list[int], chance: Chance, side: int, *, wrap: bool) -> torch.Tensor:
    """(N, 3, side, side) in -1..1, from anywhere on the torus where pictures ``wrap``, else from within."""
    found = []
    for i in index:
        down, across = chance.draws.integers(0, pool.size if wrap else pool.size - side + 1, 2)
        found.append(np.roll(pool.image(i), (-down, -across), (0, 1))[:side, :side])
    return to_tensor(torch.from_numpy(np.stack(found)))


def to_tensor(images: torch.Tensor) -> torch.Tensor:
    """Bytes (N, H, W, 3) to floats (N, 3, H, W) in -1..1."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def halved(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures at the decoder's size: means of squares."""
    return pictures if pictures.shape[-1] == side else functional.avg_pool2d(pictures, pictures.shape[-1] // side)
