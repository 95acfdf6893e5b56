"""Differentiable augmentation (Zhao et al. 2020, section 3.3): the critic sees real and made pictures changed alike, and gradients go
through. Pictures wrap around, so shifts and holes do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
HOLE = 0.5
"""The side of a hole, as a share of the picture's."""


def colour(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Brightness, saturation and contrast. Words name colours: a critic that sees these changed hears them less."""
    bright, saturated, contrast = torch.rand(3, len(pictures), 1, 1, 1, generator=rng)
    pictures = pictures + (bright - 0.5)
    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (pictures - grey) * (saturated * 2)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    changed: torch.Tensor = mean + (pictures - mean) * (contrast + 0.5)
    return changed


def shift(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Each rolled over its torus."""
    by = torch.randint(0, min(pictures.shape[2:]), (len(pictures), 2), generator=rng).tolist()
    return torch.stack([picture.roll(tuple(amount), (1, 2)) for picture, amount in zip(pictures, by, strict=True)])


def cutout(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """A grey square in each, half as wide as the picture."""
    height, width = pictures.shape[2:]
    rows, columns = (_hole(len(pictures), side, rng) for side in (height, width))
    return pictures * (~(rows[:, :, None] & columns[:, None, :]))[:, None]


def _hole(count: int, side: int, rng: torch.Generator) -> torch.Tensor:
    start = torch.randint(0, side, (count, 1), generator=rng)
    return (torch.arange(side) - start) % side < round(HOLE * side)


CHANGES: Mapping[str, Change] = {"colour": colour, "shift": shift, "cutout": cutout}


def augmented(pictures: torch.Tensor, policy: Sequence[str], rng: torch.Generator) -> torch.Tensor:
    """Pictures (N, 3, H, W) in [-1, 1] after every change of the policy, drawn anew for each row."""
    for name in policy:
        pictures = CHANGES[name](pictures, rng)
    return pictures
