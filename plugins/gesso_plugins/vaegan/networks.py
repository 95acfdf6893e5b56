"""The four networks: words to a vector, pictures to seeds, seeds and words to pictures, and the critic of both together.

All but the first are convolutions, and no norm looks beyond one place: a seed of any size makes a picture of any size, and one that wraps
around makes a tile. The generator is told where on the torus each place lies, so that rows and grids need not agree by neighbours alone.
Norms of places are those of Karras et al. 2018 (section 4.2, "pixel norm").
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from gesso_plugins.vaegan.config import NetworkConfig

SMALL = 1e-6
SLOPE = 0.2
QUIET = -3.0
"""The logarithm of the variance at the start: seeds that are mostly noise teach nobody to look at them."""
LOUDEST = 6.0
"""The largest logarithm of a variance, either way."""
TURNS = 12
"""How often the quickest of the waves that tell places turns over one period; in coarse features as often as there fits."""


@dataclass(frozen=True)
class Spread:
    """A normal distribution of seeds (N, C, h, w): mean and logarithm of the variance."""

    mean: torch.Tensor
    log_variance: torch.Tensor

    def drawn(self, noise: torch.Tensor) -> torch.Tensor:
        """The reparameterisation trick (Kingma and Welling 2014, section 2.4): differentiable in both, `noise` of unit variance."""
        return self.mean + noise * (self.log_variance / 2).exp()


@dataclass(frozen=True)
class Judged:
    """What the critic says: scores (N,), higher for what is real and fits the words, and features (N, C, h, w) of the picture alone."""

    score: torch.Tensor
    features: torch.Tensor


def level(x: torch.Tensor) -> torch.Tensor:
    """Unit length at each place, channels together."""
    return x * (x.square().mean(1, keepdim=True) + SMALL).rsqrt()


def spread_words(words: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """A vector (N, P) at each place of (N, C, h, w)."""
    return words[:, :, None, None].expand(-1, -1, *places.shape[2:])


def waves(size: int, period: int, turns: int) -> torch.Tensor:
    """Where each of ``size`` places along one axis lies, (1 + 2 turns, size): a constant, then cosines and sines (Vaswani et al. 2017,
    section 3.5, on a torus). They repeat every `period` places, stretched so that they close at the border of any size.
    """
    angles = 2 * math.pi * max(1, round(size / period)) * torch.arange(1, turns + 1)[:, None] * (torch.arange(size) + 0.5) / size
    return torch.cat([torch.ones(1, size), math.sqrt(2) * angles.cos(), math.sqrt(2) * angles.sin()])


class Places(nn.Module):
    """Features (1, C, h, w) of where each place lies: learned sums of products of waves along both axes. So what always lies at the same
    place of a tile is a matter of memory, as in the learned constant of Karras et al. 2019 (section 2), but for pictures of any size.
    """

    def __init__(self, channels: int, period: int) -> None:
        super().__init__()
        self.period, self.turns = period, min(TURNS, (period - 1) // 2)
        count = 1 + 2 * self.turns
        self.weight = nn.Parameter(torch.randn(channels, count, count) / count)

    def forward(self, height: int, width: int) -> torch.Tensor:
        """The products are summed one axis after the other: all of them at all places would be larger than the picture."""
        rows, columns = (waves(size, self.period, self.turns).to(self.weight) for size in (height, width))
        return torch.einsum("cij,ih,jw->chw", self.weight, rows, columns)[None]


class TextEncoder(nn.Module):
    """Token ids (N, L) to a vector (N, P) of mean nought and unit variance."""

    def __init__(self, config: NetworkConfig, tokenizer: CLIPTokenizer | None = None) -> None:
        super().__init__()
        ids = (0, 1) if tokenizer is None else (tokenizer.bos_token_id, tokenizer.eos_token_id)
        text = CLIPTextConfig(
            vocab_size=config.vocabulary if tokenizer is None else len(tokenizer),
            hidden_size=config.text_width,
            intermediate_size=4 * config.text_width,
            projection_dim=config.words,
            num_hidden_layers=config.text_layers,
            num_attention_heads=config.text_heads,
            max_position_embeddings=config.length,
            bos_token_id=ids[0],
            eos_token_id=ids[1],
            pad_token_id=ids[1],
        )
        self.model: Any = CLIPTextModelWithProjection(text)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The states of all tokens (N, L, D), and the vector."""
        out = self.model(input_ids=ids)
        return out.last_hidden_state, functional.layer_norm(out.text_embeds.float(), out.text_embeds.shape[1:])


class ImageEncoder(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1] to the spread of their seeds, and to the vectors (N, P) that their words should have."""

    def __init__(self, channels: tuple[int, ...], latent: int, words: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, channels[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in _pairs((channels[0], *channels)))
        self.leave = nn.Conv2d(channels[-1], 2 * latent, 3, padding=1)
        self.describe = nn.Linear(channels[-1], words)
        assert self.leave.bias is not None
        nn.init.constant_(self.leave.bias[latent:], QUIET)

    def forward(self, pictures: torch.Tensor) -> tuple[Spread, torch.Tensor]:
        """One place of the seed for each square of pixels."""
        x = self.enter(pictures)
        for convolution in self.down:
            x = convolution(functional.silu(level(x)))
        seen = functional.silu(level(x))
        mean, log_variance = self.leave(seen).chunk(2, 1)
        return Spread(mean.float(), log_variance.float().clamp(-LOUDEST, LOUDEST)), self.describe(seen.mean((2, 3))).float()


class Block(nn.Module):
    """Twice as fine; the words scale and shift each channel between its convolutions (Perez et al. 2018, FiLM, equation 2)."""

    def __init__(self, before: int, after: int, words: int, period: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.tell = nn.Conv2d(words, 2 * after, 1)
        self.places = Places(after, period)
        self.skip = nn.Conv2d(before, after, 1)

    def forward(self, x: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) to (N, C', 2 h, 2 w)."""
        x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        y = self.conv1(functional.silu(level(x))) + self.places(*x.shape[2:])
        scale, shift = functional.interpolate(self.tell(words), size=y.shape[2:], mode="nearest").chunk(2, 1)
        y = self.conv2(functional.silu(level(y) * (1 + scale) + shift))
        result: torch.Tensor = self.skip(x) + y
        return result


class Generator(nn.Module):
    """Seeds (N, C, h, w) of unit variance and words (N, P, h, w) at each place of them to pictures in [-1, 1]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels, words = config.generator, config.words
        period = config.image // config.factor
        self.enter = nn.Conv2d(config.latent + words, channels[0], 3, padding=1)
        steps = enumerate(_pairs((channels[0], *channels)), 1)
        self.up = nn.ModuleList(Block(a, b, words, period << level) for level, (a, b) in steps)
        self.leave = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, seeds: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """``2 ** levels`` pixels a side for each place."""
        x = self.enter(torch.cat([seeds, words], 1))
        for block in self.up:
            x = block(x, words)
        return torch.tanh(self.leave(functional.silu(level(x))).float())


class Critic(nn.Module):
    """The matching-aware discriminator (Reed et al. 2016, section 4.2): the words join the features where these are coarsest. With
    `spectral`, each layer's largest singular value is one (Miyato et al. 2018, equation 8).
    """

    def __init__(self, channels: tuple[int, ...], words: int, *, spectral: bool) -> None:
        super().__init__()
        held = spectral_norm if spectral else _free
        self.enter = held(nn.Conv2d(3, channels[0], 3, padding=1))
        self.down = nn.ModuleList(held(nn.Conv2d(a, b, 4, 2, 1)) for a, b in _pairs((channels[0], *channels)))
        self.join = held(nn.Conv2d(channels[-1] + words, channels[-1], 1))
        self.leave = held(nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, pictures: torch.Tensor, words: torch.Tensor) -> Judged:
        """Pictures (N, 3, H, W) in [-1, 1] and the vectors (N, P) of their words. The features are those one level above the coarsest."""
        x = functional.leaky_relu(self.enter(pictures), SLOPE)
        features = x
        for convolution in self.down:
            features, x = x, functional.leaky_relu(convolution(x), SLOPE)
        x = functional.leaky_relu(self.join(torch.cat([x, spread_words(words, x)], 1)), SLOPE)
        return Judged(self.leave(x).float().mean((1, 2, 3)), features.float())


def _free(layer: nn.Conv2d) -> nn.Conv2d:
    return layer


def _pairs(channels: tuple[int, ...]) -> Iterable[tuple[int, int]]:
    return itertools.pairwise(channels)
