"""Models that make pictures by a program of their own, which can be set aside after each of its steps. The engine batches nothing here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """Where a painting stands: ``step`` steps are done. ``latent``: (1, C, h, w), if it can be shown. ``pixels``: uint8 (H, W, 3), at the
    end only.
    """

    step: int
    latent: Tensor | None = None
    pixels: Any = None


class Painting(Protocol):
    """One picture at work: what the method ``begin`` of a model with the capability ``paint`` answers, and what its ``step`` takes."""

    def close(self) -> None:
        """Let go of it, wherever it stands; without effect on one that is done."""
        ...
