"""A conditioning: the encoded prompt of one image, as tensors with a batch of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True)
class Conditioning:
    """tokens: (1, L, D) text states. pooled: (1, P) or None. extras: further named tensors with batch 1 (SDXL time ids, ...)."""

    tokens: Tensor
    pooled: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def layout(self) -> tuple[object, ...]:
        """What must agree for two conditionings to share a forward."""
        return self._layout

    @cached_property
    def _layout(self) -> tuple[object, ...]:
        pooled = None if self.pooled is None else tuple(self.pooled.shape)
        return tuple(self.tokens.shape), pooled, tuple(sorted((k, tuple(v.shape)) for k, v in self.extras.items()))
