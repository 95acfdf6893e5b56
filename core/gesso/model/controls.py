"""Controls: pictures that steer a denoiser through a network of their own (ControlNet, T2I-Adapter, IP-Adapter). They belong to a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gesso.model.ref import ModelRef


@dataclass(frozen=True, eq=False)
class Control:
    """``image``: (1, 3, H, W) in 0..1; the model that steers says what it must show. ``strength`` scales what it adds. ``layer``: the one
    of the card's ``layers`` that alone hears a reference; empty: all do.

    ``weights`` is the loaded model, which the engine fills in for the time of a call; there, ``image`` has a row for each row of x.
    """

    model: ModelRef
    image: Tensor
    strength: float = 1.0
    layer: str = ""
    weights: Any = field(default=None, repr=False)

    def layout(self) -> tuple[object, ...]:
        """What must agree for the controls of two calls to share a forward."""
        return self.model.digest, self.strength, self.layer, tuple(self.image.shape)
