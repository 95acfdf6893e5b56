"""The style network: an encoder of features, and a decoder of features with the statistics of another picture (Huang and Belongie 2017).

A small VGG-like encoder (Simonyan and Zisserman 2014) without norms, so that means and deviations say something, and a decoder that takes
the two deepest levels, each with its statistics exchanged. Flat regions hold nothing that a brush stroke could grow from: the decoder
therefore gets noise at every level, which the caller draws from a seed. It knows neither files nor jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from gesso.errors import ModelError
from gesso.training.files import write_atomically

BUDGET = 3_000_000
CHANNELS = (24, 48, 96, 160)
MULTIPLE = 2 ** (len(CHANNELS) - 1)
TINY = 1e-5


@dataclass(frozen=True)
class Statistics:
    """What AdaIN takes over of one level: mean and deviation by channel, (N, C, 1, 1) each."""

    mean: Tensor
    deviation: Tensor


class Encoder(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1] to features of four levels, each half as fine; each channel's spread over pictures is about one."""

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        before = (3, *channels[:-1])
        self.first = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in zip(before, channels, strict=True)])
        self.second = nn.ModuleList([nn.Conv2d(b, b, 3, padding=1) for b in channels])
        for level, width in enumerate(channels):
            self.register_buffer(f"spread{level}", torch.ones(width))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The features, finest first."""
        x, found = pictures, []
        for level, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            x = functional.relu(second(functional.relu(first(functional.avg_pool2d(x, 2) if level else x))))
            found.append(x / self.get_buffer(f"spread{level}")[:, None, None])
        return found

    @torch.no_grad()
    def measure_spread(self, pictures: Tensor) -> None:
        """From now on a feature's unit is its deviation over these pictures."""
        for level, features in enumerate(self(pictures)):
            spread = self.get_buffer(f"spread{level}")
            spread.mul_(features.std((0, 2, 3)).clamp(min=0.02))


class Decoder(nn.Module):
    """The features of the two deepest levels and noise, to a picture in [-1, 1]."""

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        fine, half, deep, deepest = channels
        self.enter = nn.Conv2d(deepest + 1, deep, 3, padding=1)
        self.joined = nn.Conv2d(2 * deep + 1, deep, 3, padding=1)
        self.narrow = nn.Conv2d(deep, half, 3, padding=1)
        self.middle = nn.Conv2d(half + 1, half, 3, padding=1)
        self.thin = nn.Conv2d(half, fine, 3, padding=1)
        self.finest = nn.Conv2d(fine + 1, fine, 3, padding=1)
        self.conv_out = nn.Conv2d(fine, 3, 3, padding=1)

    def forward(self, deepest: Tensor, deep: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """``noise``: one plane (N, 1, h, w) for each level, finest first."""
        x = _twice(functional.relu(self.enter(torch.cat([deepest, noise[3]], 1))))
        x = functional.relu(self.joined(torch.cat([x, deep, noise[2]], 1)))
        x = _twice(functional.relu(self.narrow(x)))
        x = functional.relu(self.middle(torch.cat([x, noise[1]], 1)))
        x = _twice(functional.relu(self.thin(x)))
        x = functional.relu(self.finest(torch.cat([x, noise[0]], 1)))
        picture: Tensor = self.conv_out(x)
        return picture


class StyleNetwork(nn.Module):
    """Both halves."""

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.encoder = Encoder(channels)
        self.decoder = Decoder(channels)


def statistics(features: Tensor, weights: Tensor | None = None) -> Statistics:
    """Mean and deviation of features (N, C, h, w), where ``weights`` (1, 1, h, w) are heavy."""
    if weights is None:
        mean = features.mean((2, 3), keepdim=True)
        square = (features - mean).square().mean((2, 3), keepdim=True)
    else:
        share = weights / weights.sum().clamp(min=TINY)
        mean = (features * share).sum((2, 3), keepdim=True)
        square = ((features - mean).square() * share).sum((2, 3), keepdim=True)
    return Statistics(mean, (square + TINY).sqrt())


def exchanged(features: Tensor, own: Statistics, wanted: Statistics) -> Tensor:
    """Equation 8 of Huang and Belongie: the features with the statistics wanted."""
    return (features - own.mean) / own.deviation * wanted.deviation + wanted.mean


def gram(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Products of channels (N, C, C), averaged over the pixels (Gatys et al. 2016), where ``weights`` (1, 1, h, w) are heavy."""
    count, channels = features.shape[:2]
    flat = features.reshape(count, channels, -1)
    if weights is None:
        return flat @ flat.transpose(1, 2) / flat.shape[2]
    share = (weights / weights.sum().clamp(min=TINY)).reshape(1, 1, -1)
    return (flat * share) @ flat.transpose(1, 2)


def level_sizes(height: int, width: int, levels: int = len(CHANNELS)) -> list[tuple[int, int]]:
    """Height and width of each level's features."""
    return [(height >> level, width >> level) for level in range(levels)]


def to_planes(noise: Tensor, height: int, width: int) -> list[Tensor]:
    """A row of noise (N, `noise_length`) as planes for the decoder."""
    planes, begin = [], 0
    for rows, columns in level_sizes(height, width):
        planes.append(noise[:, begin : begin + rows * columns].reshape(-1, 1, rows, columns))
        begin += rows * columns
    return planes


def noise_length(height: int, width: int) -> int:
    """How many numbers the decoder takes for a picture of this size."""
    return sum(rows * columns for rows, columns in level_sizes(height, width))


def save_network(path: Path, network: StyleNetwork, record: Mapping[str, object]) -> int:
    """Keep a network in half precision with its shape and its record; the answer is its size, checked against the budget."""
    metadata = {"channels": json.dumps(network.channels), "record": json.dumps(record, sort_keys=True)}
    tensors = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    write_atomically(path, lambda target: save_file(tensors, target, metadata))
    size = path.stat().st_size
    if size > BUDGET:
        raise ValueError(f"{path} has {size} bytes; at most {BUDGET} may ship: choose narrower channels")
    return size


def read_channels(path: Path) -> tuple[int, ...]:
    """The shape of the network in a file; ModelError where it holds none."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    try:
        channels = tuple(int(width) for width in json.loads(metadata["channels"]))
    except (KeyError, ValueError, TypeError) as fault:
        raise ModelError(f"{path} holds no style network.", hint="Train one with `gesso train style`.") from fault
    if len(channels) != len(CHANNELS):
        raise ModelError(f"The style network in {path} has {len(channels)} levels instead of {len(CHANNELS)}.")
    return channels


def load_network(path: Path) -> StyleNetwork:
    """Read a network in full precision."""
    network = StyleNetwork(read_channels(path))
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval().requires_grad_(False)


def _twice(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
