"""What networks that steer a UNet hand over, and how several add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Spoken:
    """``tokens`` (B, n, D), and for each cross-attention the matrices (inner, D) of its keys and values for them. ``layer``: the
    transformer whose cross-attentions alone hear them; empty: all do.
    """

    tokens: Tensor
    pairs: Sequence[tuple[Tensor, Tensor]]
    strength: float
    layer: str = ""


@dataclass(frozen=True)
class Steering:
    """Tensors to add, each list from the outside in: ``skips`` and ``middle`` by a ControlNet to what the UNet passes on, ``features``
    by a T2I-Adapter to what each of its levels makes; or tokens that its cross-attention hears besides the words, by an IP-Adapter.
    """

    skips: Sequence[Tensor] = ()
    middle: Tensor | None = None
    features: Sequence[Tensor] = ()
    spoken: Spoken | None = None


def total(parts: Sequence[Steering]) -> dict[str, Any]:
    """The sum of all, under the names of the UNet's arguments."""
    found: dict[str, Any] = {}
    skips, features = (_added([each for each in lists if each]) for lists in ([p.skips for p in parts], [p.features for p in parts]))
    if skips:
        found["down_block_additional_residuals"] = skips
        found["mid_block_additional_residual"] = sum(part.middle for part in parts if part.middle is not None)
    if features:
        found["down_intrablock_additional_residuals"] = features
    return found


def _added(lists: Sequence[Sequence[Tensor]]) -> list[Any]:
    return [sum(each[1:], each[0]) for each in zip(*lists, strict=True)]
