"""Features of pictures by level, from any encoder: how far a picture's are from those wanted, and the gradient of that on its pixels.

A model with the capability ``features`` has the three methods in `METHODS` and answers them with `answer`, given its encoder; who asks
needs to know nothing of the encoder. The distance is that of Gatys et al. (2016), with each Gram matrix's error relative to its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Encode = Callable[[Tensor], Sequence[Tensor]]
"""Pictures (1, 3, H, W) in 0..1 to features (1, C, h, w) by level, finest first; differentiable."""

CAPABILITY = "features"
METHODS: Mapping[str, bool] = {"feature_maps": False, "feature_distance": False, "feature_gradient": False}
"""``feature_maps``: picture -> tuple of features. ``feature_distance``: picture, wanted -> the style's part of the distance, a float.
``feature_gradient``: the same -> (the whole distance, its gradient on the picture).
"""
SMALL = 1e-6


@dataclass(frozen=True)
class Look:
    """What features in one region are to have in common with another picture's: a Gram matrix (C, C) for each level. ``region``
    (1, 1, H, W) in 0..1, or None for all of the picture; ``weight`` against the other looks.
    """

    grams: tuple[Tensor, ...]
    region: Tensor | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Wanted:
    """Looks, and the features of the shapes to keep, by level (None: whatever), with their weight."""

    looks: tuple[Look, ...]
    shapes: tuple[Tensor | None, ...] = ()
    shape_weight: float = 0.0


def gram(features: Tensor, region: Tensor | None = None) -> Tensor:
    """Products of channels (C, C) of features (1, C, h, w), averaged over the pixels of a region (1, 1, H, W)."""
    flat = features[0].flatten(1)
    if region is None:
        return flat @ flat.T / flat.shape[1]
    share = functional.interpolate(region, size=features.shape[2:], mode="area").flatten()
    return (flat * (share / share.sum().clamp(min=SMALL))) @ flat.T


def style_distance(features: Sequence[Tensor], looks: Sequence[Look]) -> Tensor:
    """The mean over looks and levels of |G - G'|^2 / |G'|^2."""
    total = features[0].new_zeros(())
    for look in looks:
        for found, wanted in zip(features, look.grams, strict=True):
            apart = (gram(found, look.region) - wanted).square().sum() / wanted.square().sum().clamp(min=SMALL)
            total = total + look.weight * apart / len(features)
    return total / max(sum(look.weight for look in looks), SMALL)


def distance(features: Sequence[Tensor], wanted: Wanted) -> Tensor:
    """The style's distance, and the shapes' (their squared error relative to their variance), weighted."""
    total = style_distance(features, wanted.looks)
    kept = [(found, shape) for found, shape in zip(features, wanted.shapes, strict=False) if shape is not None]
    for found, shape in kept:
        total = total + wanted.shape_weight * functional.mse_loss(found, shape) / shape.var().clamp(min=SMALL) / len(kept)
    return total


def answer(encode: Encode, method: str, inputs: Mapping[str, Any]) -> Any:
    """What the method of that name in `METHODS` replies, computed with this encoder."""
    picture: Tensor = inputs["picture"]
    if method == "feature_maps":
        return tuple(encode(picture))
    wanted: Wanted = inputs["wanted"]
    if method == "feature_distance":
        return float(style_distance(encode(picture), wanted.looks))
    with torch.enable_grad():
        x = picture.detach().clone().requires_grad_(True)
        loss = distance(encode(x), wanted)
        (gradient,) = torch.autograd.grad(loss, x)
    return float(loss.detach()), gradient
