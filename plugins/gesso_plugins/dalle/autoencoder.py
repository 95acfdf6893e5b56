"""The discrete variational autoencoder (Ramesh et al. 2021, section 2.1 and appendix A): pictures to logits of tokens, tokens to pictures,
and the terms of its loss. It is convolutional throughout.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from gesso_plugins.dalle.config import NetworkConfig

EDGE = 0.1
"""The epsilon of appendix A.3: how far what is compared stays from 0 and 1."""
SHARPEST = -5.0
"""The least logarithm of a scale: a colour that is always hit must not be worth without end."""
SHARPNESS = 200.0
"""Of the tokens at the start: by how many nats a place prefers its own token to that of another place, on average half of this."""
BROAD = -1.0
"""The logarithm of every scale at the start."""
ROUNDS = 9
"""Of Lloyd's algorithm: what is left to gain is left to the training."""
AT_ONCE = 8192


def inward(pictures: torch.Tensor) -> torch.Tensor:
    """Samples in 0..1 into (EDGE, 1 - EDGE): the map phi of appendix A.3."""
    return (1 - 2 * EDGE) * pictures + EDGE


def outward(samples: torch.Tensor) -> torch.Tensor:
    """Back again; what lies beyond is cut off."""
    return ((samples - EDGE) / (1 - 2 * EDGE)).clamp(0, 1)


def surprise(statistics: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of the logit-Laplace density (appendix A.3, equation 2) of pictures (N, 3, H, W) in 0..1, per sample.

    statistics (N, 6, H, W): three planes of locations, three of logarithms of scales.
    """
    seen = inward(pictures)
    location, log_scale = statistics.float().chunk(2, 1)
    log_scale = log_scale.clamp(min=SHARPEST)
    away = (torch.logit(seen) - location).abs() * (-log_scale).exp()
    return math.log(2) + log_scale + (seen * (1 - seen)).log() + away


def divergence(logits: torch.Tensor) -> torch.Tensor:
    """The KL divergence of the tokens' distribution (N, V, h, w) from the uniform one, per place (section 2.1)."""
    known = logits.float().log_softmax(1)
    return (known.exp() * (known + math.log(logits.shape[1]))).sum(1)


def unevenness(logits: torch.Tensor) -> torch.Tensor:
    """The KL divergence from the uniform distribution of the tokens' mean distribution over all places of (N, V, h, w): log V where one
    token stands for everything, 0 where all are equally often used. It is one of the two terms that the mean of `divergence` falls into;
    the other is what tokens tell of pictures (Hoffman and Johnson 2016, section 2), which is what they are for.
    """
    shares = logits.float().softmax(1).mean((0, 2, 3))
    return (shares * (shares.clamp(min=torch.finfo(torch.float32).tiny).log() + math.log(logits.shape[1]))).sum()


def relaxed(logits: torch.Tensor, temperature: float, rng: torch.Generator) -> torch.Tensor:
    """A draw of the Gumbel-softmax relaxation of tokens (N, V, h, w) (Jang et al. 2017, equation 2): the harder the colder."""
    smallest = torch.finfo(torch.float32).tiny
    even = torch.rand(logits.shape, generator=rng).clamp(min=smallest)
    gumbel = -(-even.log()).clamp(min=smallest).log()
    return functional.softmax((logits.float() + gumbel) / temperature, 1)


def annealed(start: float, end: float, share: float) -> float:
    """From one value to another along a half cosine, at `share` (0..1) of the way (appendix A.2)."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))


class Block(nn.Module):
    """A residual block with a bottleneck; what it adds is small at first (appendix A.2)."""

    def __init__(self, before: int, after: int, bottleneck: int, share: float) -> None:
        super().__init__()
        inner = max(1, after // bottleneck)
        self.share = share
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(before, inner, 3, padding=1), nn.Conv2d(inner, inner, 3, padding=1), nn.Conv2d(inner, after, 1)]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) to (N, C', h, w)."""
        y = x
        for convolution in self.convolutions:
            y = convolution(functional.relu(y))
        result: torch.Tensor = self.skip(x) + self.share * y
        return result


def _level(before: int, after: int, config: NetworkConfig) -> nn.Sequential:
    share = 1 / (config.blocks * len(config.channels))
    widths = (before, *(after for _ in range(config.blocks)))
    return nn.Sequential(*(Block(a, b, config.bottleneck, share) for a, b in itertools.pairwise(widths)))


class Encoder(nn.Module):
    """Pictures (N, 3, H, W) in 0..1 to logits (N, V, h, w): by convolutions, and by a shortcut from a place's own pixels."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.channels
        self.conv_in = nn.Conv2d(3, channels[0], 7, padding=3)
        self.levels = nn.ModuleList(_level(a, b, config) for a, b in itertools.pairwise((channels[0], *channels)))
        self.conv_out = nn.Conv2d(channels[-1], config.vocabulary, 1)
        self.shortcut = nn.Conv2d(3, config.vocabulary, config.factor, config.factor, bias=False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """One place for each ``factor`` x ``factor`` pixels."""
        samples = inward(pictures)
        x = self.conv_in(samples)
        for number, level in enumerate(self.levels):
            x = level(functional.max_pool2d(x, 2) if number else x)
        logits: torch.Tensor = self.conv_out(functional.relu(x)) + self.shortcut(samples)
        return logits


class Decoder(nn.Module):
    """Shares of tokens (N, V, h, w), one-hot where they are certain, to the statistics of a picture (N, 6, H, W): by convolutions, and by
    a shortcut from a place's token to the locations of its pixels.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.channels[::-1]
        self.conv_in = nn.Conv2d(config.vocabulary, channels[0], 1)
        nn.init.normal_(self.conv_in.weight)  # one token is on at a time: by a convolution's usual start hardly any would be heard
        self.levels = nn.ModuleList(_level(a, b, config) for a, b in itertools.pairwise((channels[0], *channels)))
        self.conv_out = nn.Conv2d(channels[-1], 6, 1)
        self.shortcut = nn.ConvTranspose2d(config.vocabulary, 3, config.factor, config.factor, bias=False)

    def forward(self, shares: torch.Tensor) -> torch.Tensor:
        """``factor`` x ``factor`` pixels for each place."""
        x = self.conv_in(shares)
        for number, level in enumerate(self.levels):
            x = level(functional.interpolate(x, scale_factor=2.0, mode="nearest") if number else x)
        locations, log_scales = self.conv_out(functional.relu(x)).chunk(2, 1)
        return torch.cat([locations + self.shortcut(shares), log_scales], 1)

    def picture(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (N, h, w) to the picture that is likeliest (N, 3, H, W) in 0..1."""
        shares = functional.one_hot(tokens, self.conv_in.in_channels).movedim(-1, 1)
        statistics = self(shares.to(self.conv_in.weight.dtype))
        return outward(torch.sigmoid(statistics[:, :3].float()))


@torch.no_grad()
def begin(encoder: Encoder, decoder: Decoder, pictures: torch.Tensor, rng: torch.Generator) -> None:
    """Let both begin as a codebook of the squares of pictures (N, 3, H, W) in 0..1: a token is likelier the nearer a square is to its own,
    by minus half of the squared distance, which is linear but for what all tokens share; and it is drawn as its own square. The
    convolutions are silent at first. So all tokens are in use from the start, and mean something.
    """
    side = encoder.shortcut.kernel_size[0]
    squares = functional.pixel_unshuffle(inward(pictures), side).movedim(1, -1).flatten(0, 2)
    own = centres(squares, encoder.shortcut.out_channels, rng)
    sharp = SHARPNESS / (2 * squares.var(0).sum())
    assert encoder.conv_out.bias is not None
    assert decoder.conv_out.bias is not None
    for silent in (encoder.conv_out.weight, decoder.conv_out.weight, decoder.conv_out.bias[:3]):
        silent.zero_()
    decoder.conv_out.bias[3:] = BROAD
    encoder.conv_out.bias.copy_(-sharp * own.square().sum(1) / 2)
    encoder.shortcut.weight.copy_((sharp * own).view_as(encoder.shortcut.weight))
    decoder.shortcut.weight.copy_(torch.logit(own).view_as(decoder.shortcut.weight))


def centres(rows: torch.Tensor, count: int, rng: torch.Generator) -> torch.Tensor:
    """`count` rows that (N, D) lie around, by Lloyd's algorithm from random ones of them. Those that nothing is nearest to stay."""
    found = rows[torch.randint(len(rows), (count,), generator=rng)]
    for _ in range(ROUNDS):
        nearest = torch.cat([(part @ found.mT - found.square().sum(1) / 2).argmax(1) for part in torch.split(rows, AT_ONCE)])
        sums = torch.zeros_like(found).index_add_(0, nearest, rows)
        counts = torch.bincount(nearest, minlength=count)[:, None]
        found = torch.where(counts > 0, sums / counts.clamp(min=1), found)
    return found


def tokens_of(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest tokens (N, h, w) of logits (N, V, h, w): what the transformer learns, without noise (section 2.2)."""
    return logits.argmax(1)
