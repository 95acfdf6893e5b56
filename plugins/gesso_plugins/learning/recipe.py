"""What is learned how: every number that decides about the bytes of a LoRA. Torch-free."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

Where = Literal["attention", "all"]


@dataclass(frozen=True)
class Recipe:
    """What is learned how; all of it decides about the bytes of the result. size: of pictures whose area is ``size * size``; None: the
    model's own. tile: the axes along which the pictures wrap around. dropout: the share of steps without words. half: compute in bfloat16.
    """

    steps: int = 600
    rank: int = 8
    alpha: float = 8.0
    layers: Where = "all"
    learning_rate: float = 1e-3
    final_rate: float = 0.1
    warmup: int = 20
    batch: int = 4
    dropout: float = 0.1
    size: int | None = None
    tile: str = "none"
    seed: int = 1
    half: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return dataclasses.asdict(self)


def digest(value: object) -> str:
    """A short, stable name for what is made of JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
