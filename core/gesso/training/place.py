"""How well a denoiser knows where in the tile each of its features lies, and a loss that teaches it.

A UNet's convolutions see no place but by the zeros at the border, and of those alone the starter's made next to nothing: a linear reader
found a third of the place in its innermost features, and a twentieth in its last. A layout that lies at the same place in every render is
then no easier to learn than one that lies anywhere. What the zeros say is carried inwards where something asks for it (Islam et al. 2020,
"How much position information do convolutional neural networks encode?"); this asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

RIDGE = 1e-2
"""Of the mean power of the features: keeps the reader from growing without bound."""
SMALLEST = 2
"""Places a side that no wave fits into."""


@dataclass(frozen=True)
class PlaceConfig:
    """The parts of a UNet whose features must say where in the tile they lie, and what that weighs (0: nothing)."""

    parts: tuple[str, ...] = ("down_blocks.1", "mid_block", "up_blocks.0")
    weight: float = 0.05


def coordinates(height: int, width: int) -> torch.Tensor:
    """Sines and cosines (height * width, N) of the place on the torus, at 1, 2 and 4 periods a side where so many fit."""
    columns = [torch.zeros(height * width, 0)]
    for across, side in ((False, height), (True, width)):
        angle = 2 * torch.pi * (torch.arange(side) + 0.5) / side
        for periods in (1, 2, 4):
            if 2 * periods < side:
                wave = torch.stack([torch.sin(periods * angle), torch.cos(periods * angle)], -1)
                columns.append(wave.repeat(height, 1) if across else wave.repeat_interleave(width, 0))
    return torch.cat(columns, -1)


def unplaced(features: torch.Tensor) -> torch.Tensor:
    """The share of the coordinates' variance, 0 to 1, that the best linear reader of the features (N, C, h, w) leaves unread.

    The reader is the ridge regression of this very batch, so there is nothing to keep. It is held while the gradient flows: at its
    optimum, how it would move does not change the error (the envelope theorem).
    """
    rows = features.float().flatten(2).mT
    rows = torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], -1).flatten(0, 1)
    target = coordinates(*features.shape[-2:]).repeat(len(features), 1)
    with torch.no_grad():
        gram = rows.T @ rows
        gram.diagonal().add_(RIDGE * gram.diagonal().mean())
        reader = torch.linalg.solve(gram, rows.T @ target)
    left: torch.Tensor = (rows @ reader - target).square().mean() / target.square().mean()
    return left


@contextmanager
def listening(unet: Any, config: PlaceConfig) -> Iterator[list[torch.Tensor]]:
    """The features that the parts named in ``config`` put out while the block lasts, one entry for each of their forwards."""
    heard: list[torch.Tensor] = []

    def keep(_part: Any, _inputs: Any, output: Any) -> None:
        heard.append(output[0] if isinstance(output, tuple) else output)

    hooks = [unet.get_submodule(name).register_forward_hook(keep) for name in config.parts]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def place_loss(heard: list[torch.Tensor]) -> torch.Tensor:
    """What the parts that were listened to leave unread, on average; of those that are large enough to have places."""
    return torch.stack([unplaced(features) for features in heard if min(features.shape[-2:]) > SMALLEST]).mean()
