"""What a training step sees, drawn from (seed, step): pictures and their words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gesso.training.pool import Pool


@dataclass(frozen=True)
class Batch:
    """Pictures (N, 3, S, S) in 0..1, and the ids (N, L) of their captions."""

    pictures: torch.Tensor
    ids: torch.Tensor


def to_tensor(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Bytes (N, H, W, 3) to floats (N, 3, H, W) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(255).contiguous()


def draw_batch(pool: Pool, count: int, key: tuple[int, int]) -> Batch:
    """The batch of step `key`; pictures are rolled over the torus and mirrored."""
    rng = np.random.default_rng([key[0], 89, key[1]])
    index = rng.integers(0, len(pool), count).tolist()
    return Batch(to_tensor(np.stack([pool.moved(i, rng) for i in index])), pool.ids(index))
