"""Weight-decomposed LoRAs (DoRA; Liu et al. 2024, arXiv 2402.09353, eq. 5): W' = m (W + dW) / |W + dW|, the length m learned apart from
the direction. W' is never formed: the network stays as it is, and what W' x has beside W x is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gesso_plugins.diffusion.lora_file import Change, added


@dataclass(frozen=True)
class Gain:
    """m / |W + dW|, shaped to multiply what the layer answers (``rows``: a length for each output) or what it is given (for each input)."""

    factor: Tensor
    rows: bool


def gain(change: Change, layer: Any) -> Gain | None:
    """The gain of a decomposed change on this layer, None for others. Lengths belong to outputs in the paper and in peft, to inputs in
    LyCORIS' first files; a magnitude whose first axis is as long as the layer's outputs belongs to those.
    """
    if change.magnitude is None:
        return None
    weight = layer.weight.to(torch.float32)
    whole = weight + change.weight(layer.weight.shape).to(torch.float32) * change.scale
    magnitude = change.magnitude.to(torch.float32)
    sides = magnitude.squeeze()
    rows = sides.numel() == len(weight) and (magnitude.shape[0] != 1 or magnitude.dim() == 1 or sides.numel() != weight.shape[1])
    axis = 0 if rows else 1
    lengths = whole.transpose(0, axis).flatten(1).norm(dim=1)
    factor = (sides.reshape(-1) / lengths).to(layer.weight.dtype)
    return Gain(factor.view(-1, 1, 1) if weight.dim() == 4 else factor, rows)


def added_decomposed(change: Change, layer: Any, x: Tensor, lengths: Gain) -> Tensor:
    """W' x - W x."""
    plain = _bare(layer, x)
    if lengths.rows:
        return (plain + added(change, layer, x) * change.scale) * lengths.factor - plain
    scaled = x * lengths.factor
    return _bare(layer, scaled) + added(change, layer, scaled) * change.scale - plain


def _bare(layer: Any, x: Tensor) -> Tensor:
    """The layer without its bias."""
    if isinstance(layer, torch.nn.Conv2d):
        answer: Tensor = layer._conv_forward(x, layer.weight, None)
        return answer
    return torch.nn.functional.linear(x, layer.weight)
