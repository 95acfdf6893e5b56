"""The learning rate over a run."""

from __future__ import annotations

import math


def rate(step: int, *, warmup: int, start_decay: int = 0, steps: int = 0, final: float = 1.0) -> float:
    """Factor on the learning rate: a linear warm-up, then constant, then (where `steps` says when it ends) a cosine down to `final`."""
    factor = min(1.0, (step + 1) / max(1, warmup))
    if steps and step >= start_decay:
        progress = min(1.0, (step - start_decay) / max(1, steps - start_decay))
        factor *= final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))
    return factor
