"""Adaptive instance normalisation with the style network: the shapes of one picture, the look of others. Pure functions of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gesso.model.seamless import make_seamless
from gesso_plugins.style.network import MULTIPLE, Statistics, StyleNetwork, exchanged, noise_length, statistics, to_planes

MARGIN = 32
"""Pixels by which a picture that does not wrap is mirrored beyond its edges."""
Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class Task:
    """What is to be painted. ``content`` (1, 3, H, W) in 0..1 has sides of whole multiples of 8 along the axes of ``tile``; ``styles`` are
    pictures of any size; ``regions`` (1, 1, H, W) say where each goes, none: they are mixed in equal parts.
    """

    content: Tensor
    styles: Sequence[Tensor]
    regions: Sequence[Tensor]
    strength: float
    seed: int
    tile: str


def stylised(network: StyleNetwork, task: Task) -> Tensor:
    """A picture (1, 3, H, W) in 0..1 of the content's shapes."""
    content = task.content
    pads = surroundings(content, task.tile)
    with torch.no_grad(), circular(network):
        shapes = network.encoder(mirrored(content * 2 - 1, pads))
        looks = [network.encoder(_whole(style * 2 - 1)) for style in task.styles]
        places = [mirrored(region, pads) for region in task.regions]
        deep, deepest = (_mixed(shapes[n], [statistics(look[n]) for look in looks], places, task.strength) for n in (2, 3))
        height, width = shapes[0].shape[2:]
        generator = torch.Generator().manual_seed(task.seed)
        noise = torch.randn((1, noise_length(height, width)), generator=generator).to(content.device)
        made = network.decoder(deepest, deep, to_planes(noise, height, width))
    left, _, top, _ = pads
    cut = made[..., top : top + content.shape[2], left : left + content.shape[3]]
    picture: Tensor = ((cut + 1) / 2).clamp(0, 1)
    return picture


def features(network: StyleNetwork, picture: Tensor) -> list[Tensor]:
    """The encoder's features of a picture (1, 3, H, W) in 0..1; differentiable."""
    with circular(network):
        found: list[Tensor] = network.encoder(_whole(picture * 2 - 1))
    return found


@contextmanager
def circular(network: StyleNetwork) -> Iterator[None]:
    """The network with convolutions that wrap, for as long as the block lasts."""
    padding = make_seamless(network)
    try:
        yield
    finally:
        padding.eject()


def surroundings(content: Tensor, tile: str) -> Pads:
    """(left, right, top, bottom): nothing along an axis that wraps, else a margin that also fills up to a whole multiple."""
    height, width = content.shape[2:]
    return (*_margins(width, "x" in tile), *_margins(height, "y" in tile))


def mirrored(planes: Tensor, pads: Pads) -> Tensor:
    """Planes mirrored beyond their edges."""
    return functional.pad(planes, pads, mode="reflect") if any(pads) else planes


def _margins(side: int, wraps: bool) -> tuple[int, int]:
    if wraps:
        return 0, 0
    before = min(MARGIN, (side - 1) // MULTIPLE * MULTIPLE)
    after = before + -(side + 2 * before) % MULTIPLE
    return before, min(after, side - 1)


def _whole(picture: Tensor) -> Tensor:
    """Cut to whole multiples, so that every level has its pixels."""
    height, width = (max(MULTIPLE, side // MULTIPLE * MULTIPLE) for side in picture.shape[2:])
    return picture[..., :height, :width]


def _mixed(features: Tensor, looks: Sequence[Statistics], places: Sequence[Tensor], strength: float) -> Tensor:
    """The features with the statistics of each look where it goes; elsewhere as they are."""
    if not places:
        own = statistics(features)
        new = torch.stack([exchanged(features, own, look) for look in looks]).mean(0)
        return features + strength * (new - features)
    shares = [functional.interpolate(place, size=features.shape[2:], mode="area") for place in places]
    crowd = torch.stack(shares).sum(0).clamp(min=1)
    made = features
    for share, look in zip(shares, looks, strict=True):
        new = exchanged(features, statistics(features, share), look)
        made = made + strength * share / crowd * (new - features)
    return made
