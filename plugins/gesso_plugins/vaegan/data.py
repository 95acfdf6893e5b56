"""What a training step sees, drawn from (seed, step): pictures, their words, and words that fit none of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import CLIPTokenizer

from gesso.errors import DataError
from gesso.training.pool import Pool
from gesso.training.renders import RenderStore, Shard

Kind = tuple[str, str]
"""Material and colour: words of another kind are wrong words."""


@dataclass(frozen=True)
class Batch:
    """Pictures (N, 3, S, S) in [-1, 1], the ids (N, L) of their captions, those of captions of other materials or colours, and which of the
    pictures are of one material and colour (N, N), as 0 and 1.
    """

    pictures: torch.Tensor
    ids: torch.Tensor
    wrong: torch.Tensor
    alike: torch.Tensor


class KindPool(Pool):
    """Renders by their kinds."""

    def __init__(self, store: RenderStore, size: int, tokenizer: CLIPTokenizer, still: bool = False) -> None:
        super().__init__(store, size, tokenizer, still)
        self.kinds: list[Kind] = []
        self.members: dict[Kind, list[int]] = defaultdict(list)

    def refresh(self, most: int | None = None) -> None:
        """Take in what has been drawn since, up to `most` shards in all; DataError where all pictures are of one kind."""
        super().refresh(most)
        if len(self.members) < 2:
            raise DataError(
                "All pictures are of one material and colour, so that no words are wrong for any of them.", hint="Name more materials."
            )

    def take(self, shard: Shard) -> None:
        """Take one shard in, and note what its pictures show."""
        for i, label in enumerate(shard.labels, len(self)):
            kind = (label["material"], label["colour"])
            self.members[kind].append(i)
            self.kinds.append(kind)
        super().take(shard)

    def other(self, index: int, rng: np.random.Generator) -> int:
        """A render of another kind: every second time of the same material in another colour, where there is one."""
        own = self.kinds[index]
        others = [kind for kind in self.members if kind != own]
        near = [kind for kind in others if kind[0] == own[0]]
        among = near if near and rng.random() < 0.5 else others
        return int(rng.choice(self.members[among[int(rng.integers(len(among)))]]))


def to_tensor(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Bytes (N, H, W, 3) to floats (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def draw_batch(pool: KindPool, count: int, key: tuple[int, int]) -> Batch:
    """The batch of step `key`; pictures are rolled over the torus and mirrored."""
    rng = np.random.default_rng([key[0], 83, key[1]])
    index = rng.integers(0, len(pool), count).tolist()
    pictures = [pool.moved(i, rng) for i in index]
    kinds = [pool.kinds[i] for i in index]
    alike = torch.tensor([[one == other for other in kinds] for one in kinds]).float()
    return Batch(to_tensor(np.stack(pictures)), pool.ids(index), pool.ids([pool.other(i, rng) for i in index]), alike)
