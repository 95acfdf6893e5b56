"""Vectors by their direction: between two on the sphere, and along the difference of two others, as CLIP's embeddings are moved."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ALIKE = 1.0 - 1e-6
"""A cosine above which two directions are one: the arc between them is straight."""


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Vectors (..., D), ``share`` of the way along the arc from ``start`` (0) to ``end`` (1): sin((1 - s) w) / sin(w) of the one direction
    and sin(s w) / sin(w) of the other, where w is the angle between them (Shoemake 1985). Their lengths are mixed linearly. Opposite
    directions have no one arc between them: then it goes through 0.
    """
    directions = functional.normalize(start, dim=-1), functional.normalize(end, dim=-1)
    cosine = (directions[0] * directions[1]).sum(-1, keepdim=True)
    angle = cosine.clamp(-1.0, 1.0).acos()
    sine = angle.sin()
    straight = (cosine.abs() > _ALIKE).expand_as(sine)
    weights = [torch.where(straight, torch.full_like(sine, part), (part * angle).sin() / sine) for part in (1.0 - share, share)]
    mixed = weights[0] * directions[0] + weights[1] * directions[1]
    lengths = (1.0 - share) * start.norm(dim=-1, keepdim=True) + share * end.norm(dim=-1, keepdim=True)
    moved: Tensor = mixed * lengths
    return moved


def along(vector: Tensor, before: Tensor, after: Tensor, share: float) -> Tensor:
    """A vector (..., D), its direction moved ``share`` of the way towards that from ``before`` to ``after``, its length kept: a text diff,
    slerp(z, (t - t0) / |t - t0|) of unit vectors (Ramesh et al. 2022, arXiv 2204.06125, section 3.3).
    """
    difference = functional.normalize(after, dim=-1) - functional.normalize(before, dim=-1)
    towards = functional.normalize(difference, dim=-1) * vector.norm(dim=-1, keepdim=True)
    return slerp(vector, towards, share)
