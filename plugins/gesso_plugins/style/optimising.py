"""Style by optimisation (Gatys et al. 2016): the picture's own pixels go down the gradient of an encoder's distance, by Adam.

The encoder is any model with the capability ``features``; nothing here knows which.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from gesso.engine import Apply, Emit, ModelRef, Progress
from gesso.model.features import Wanted

RATE = 0.03
BETAS = (0.9, 0.99)
DEFAULT_STEPS = 60


def optimised(model: ModelRef, picture: Tensor, wanted: Wanted, steps: int, index: int) -> Generator[Any, Any, Tensor]:
    """The picture (1, 3, H, W) in 0..1 after so many steps; the rate falls to a tenth."""
    x, mean, square = picture.clone(), torch.zeros_like(picture), torch.zeros_like(picture)
    for step in range(1, steps + 1):
        _, gradient = yield Apply(model, "feature_gradient", {"picture": x, "wanted": wanted})
        gradient = gradient.to(x)
        mean = torch.lerp(gradient, mean, BETAS[0])
        square = torch.lerp(gradient.square(), square, BETAS[1])
        rate = RATE * (1 - 0.9 * (step - 1) / max(1, steps - 1))
        direction = (mean / (1 - BETAS[0] ** step)) / ((square / (1 - BETAS[1] ** step)).sqrt() + 1e-8)
        x = (x - rate * direction).clamp(0, 1)
        yield Emit(Progress(image=index, step=step, total=steps, sigma=0.0, fraction=step / steps))
    return x
