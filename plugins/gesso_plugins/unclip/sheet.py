"""Pictures of a run while it learns, by the parts that are served: of what the CLIP sees in renders, and of what the prior imagines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gesso.model import Conditioning, Parametrisation, Part
from gesso_plugins.unclip.levels import levels_of
from gesso_plugins.unclip.parts import Decoder, Prior, Upsampler
from gesso_plugins.unclip.storage import CLIP_RANGE

STEPS = 12

X0 = Callable[[Tensor, Tensor, Conditioning], Tensor]


class Painter:
    """The parts of a run, deterministically sampled (DDIM, Song et al. 2021, equation 12 with no noise) and without guidance."""

    def __init__(self, steps: dict[str, Any], timesteps: int) -> None:
        self._levels, self._steps = levels_of(timesteps), steps
        self._painting = Part(self._levels, STEPS, clip=1.0)
        self._prior = Prior(steps["prior"].network, Part(self._levels, STEPS, clip=CLIP_RANGE))
        self._decoder = Decoder(steps["decoder"].network, steps["decoder"].projection, self._painting)

    def imagined(self, words: Conditioning, noise: Tensor) -> Tensor:
        """Embeddings (N, D) of words, from noise (N, D)."""
        x = sampled(self._prior.x0, noise[:, :, None, None], words, self._levels, CLIP_RANGE)
        return self._prior.embedding(x)

    def painted(self, words: Conditioning, embedding: Tensor, noise: Tensor) -> Tensor:
        """Pictures (N, 3, h, w) in -1..1 of embeddings."""
        heard = torch.ones(len(embedding), 1)
        told = Conditioning(words.tokens, words.pooled, {**words.extras, "embedding": embedding, "heard": heard})
        return sampled(self._decoder.x0, noise, told, self._levels, 1.0)

    def grown(self, small: Tensor, noise: Tensor) -> Tensor:
        """The same, larger."""
        cond = Conditioning(torch.zeros(len(small), 1, 1), None, {"small": small})
        network = self._steps["upsampler"].network
        return sampled(Upsampler(network, network, self._painting).x0, noise, cond, self._levels, 1.0)


@torch.no_grad()
def sampled(x0: X0, noise: Tensor, cond: Conditioning, levels: Parametrisation, clip: float) -> Tensor:
    """From unit noise down the trained levels, evenly."""
    last = len(levels.sigmas) - 1
    sigmas = [*(levels.sigmas[round(last * i / (STEPS - 1))] for i in reversed(range(STEPS))), 0.0]
    x: Tensor = noise * (1 + sigmas[0] ** 2) ** 0.5
    for sigma, following in pairwise(sigmas):
        clean = x0(x, torch.full((len(x),), sigma), cond).clamp(-clip, clip)
        x = clean + (x - clean) * (following / sigma)
    return x
