"""Style by optimisation (Gatys et al. 2016): the picture's own pixels go down the gradient of an encoder's distance, by Adam.

The encoder is any model with the capability ``features``; nothing here knows which.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gesso.engine import Apply, Emit, Host, ModelRef, Progress
from gesso.model.features import Wanted

RATE = 0.03
BETAS = (0.9, 0.99)
DEFAULT_STEPS = 60


@dataclass(frozen=True)
class Search:
    """So many steps towards what is wanted, each followed by ``held``: the nearest picture of those that are allowed. index: whose progress
    it is.
    """

    wanted: Wanted
    steps: int
    held: Callable[[Tensor], Tensor]
    index: int = 0


def optimised(model: ModelRef, picture: Tensor, search: Search) -> Generator[Any, Any, Tensor]:
    """The picture (1, 3, H, W) in 0..1 after the search's steps; the rate falls to a tenth."""
    steps = search.steps
    x, mean, square = picture.clone(), torch.zeros_like(picture), torch.zeros_like(picture)
    for step in range(1, steps + 1):
        _, gradient = yield Apply(model, "feature_gradient", {"picture": x, "wanted": search.wanted})
        gradient = gradient.to(x)
        mean = torch.lerp(gradient, mean, BETAS[0])
        square = torch.lerp(gradient.square(), square, BETAS[1])
        rate = RATE * (1 - 0.9 * (step - 1) / max(1, steps - 1))
        direction = (mean / (1 - BETAS[0] ** step)) / ((square / (1 - BETAS[1] ** step)).sqrt() + 1e-8)
        x = yield Host(search.held, ((x - rate * direction).clamp(0, 1),))
        yield Emit(Progress(image=search.index, step=step, total=steps, sigma=0.0, fraction=step / steps))
    return x
