"""The terms of both lessons: features that keep a picture and tell media apart, and pictures of one content in another style."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesso_plugins.style.learning.config import LossConfig
from gesso_plugins.style.network import Encoder, StyleNetwork, exchanged, gram, noise_length, statistics, to_planes


class MediumHead(nn.Module):
    """Tells a painting's medium from the statistics that AdaIN takes over, so that these statistics come to tell media apart."""

    def __init__(self, channels: tuple[int, ...], media: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * sum(channels), media)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits (N, media)."""
        found = [statistics(level) for level in features]
        values = torch.cat([torch.cat([own.mean, own.deviation], 1).flatten(1) for own in found], 1)
        logits: Tensor = self.linear(values)
        return logits


def feature_terms(network: StyleNetwork, head: MediumHead, pictures: Tensor, media: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """The encoder's lesson: ``pictures`` come back from their features, and those with a medium (``media`` not negative) tell it."""
    features = network.encoder(pictures)
    made = network.decoder(features[3], features[2], silence(pictures))
    fine = functional.l1_loss(_differences(made), _differences(pictures))
    return {
        "likeness": config.likeness * (functional.l1_loss(made, pictures) + fine),
        "medium": config.medium * functional.cross_entropy(head(features), media, ignore_index=-1),
    }


def style_terms(network: StyleNetwork, content: Tensor, style: Tensor, noise: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """The decoder's lesson, equations 11 to 13 of Huang and Belongie with Gatys' Gram matrices beside the statistics."""
    encoder: Encoder = network.encoder
    with torch.no_grad():
        shapes, look = encoder(content), encoder(style)
        targets = [exchanged(shapes[n], statistics(shapes[n]), statistics(look[n])) for n in (2, 3)]
    made = network.decoder(targets[1], targets[0], to_planes(noise, *content.shape[2:]))
    found = encoder(made)
    apart, far = content.new_zeros(()), content.new_zeros(())
    for mine, theirs in zip(found, look, strict=True):
        own, wanted = statistics(mine), statistics(theirs)
        apart = apart + functional.mse_loss(own.mean, wanted.mean) + functional.mse_loss(own.deviation, wanted.deviation)
        far = far + (gram(mine) - gram(theirs)).square().sum((1, 2)).div(gram(theirs).square().sum((1, 2)) + 1e-2).clamp(max=4).mean()
    return {
        "content": config.content * (functional.mse_loss(found[3], targets[1]) + functional.mse_loss(found[2], targets[0])),
        "statistics": config.statistics * apart,
        "gram": config.gram * far / len(found),
        "range": (made.abs() - 1).clamp(min=0).mean(),
    }


def same_terms(network: StyleNetwork, pictures: Tensor, noise: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """A picture in its own style is itself."""
    with torch.no_grad():
        features = network.encoder(pictures)
    made = network.decoder(features[3], features[2], to_planes(noise, *pictures.shape[2:]))
    return {"same": config.same * functional.l1_loss(made, pictures)}


def silence(pictures: Tensor) -> list[Tensor]:
    """No noise."""
    height, width = pictures.shape[2:]
    return to_planes(pictures.new_zeros((len(pictures), noise_length(height, width))), height, width)


def _differences(pictures: Tensor) -> Tensor:
    """Steps to the right and downwards, where edges are."""
    right = pictures[..., :-1, 1:] - pictures[..., :-1, :-1]
    down = pictures[..., 1:, :-1] - pictures[..., :-1, :-1]
    return torch.cat([right, down], 1)
