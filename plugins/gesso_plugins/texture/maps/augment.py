"""The same material photographed otherwise: what changes in a picture while its maps stay, so that no map hangs on the exact colours."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from gesso_plugins.texture.maps.config import AugmentConfig


def augmented(pictures: torch.Tensor, rng: np.random.Generator, config: AugmentConfig) -> torch.Tensor:
    """Pictures (N, 3, H, W) in [-1, 1] that wrap, each in another gamma, contrast, brightness and hue, a little blurred, with noise."""

    def either_way(most: float) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(-most, most, (len(pictures), 1, 1, 1))).float()

    light = ((pictures + 1) / 2).pow(either_way(config.gamma).exp()) * 2 - 1
    light = light * (1 + either_way(config.contrast)) + either_way(config.brightness)
    light = torch.einsum("nab,nbhw->nahw", turned_hue(either_way(config.hue).flatten()), light)
    soft = functional.avg_pool2d(functional.pad(light, (1, 1, 1, 1), mode="circular"), 3, 1)
    blurred = light + (soft - light) * either_way(config.blur).clamp(min=0)
    grain = torch.from_numpy(rng.standard_normal(tuple(light.shape), np.float32))
    return (blurred + grain * either_way(config.noise).clamp(min=0)).clamp(-1, 1)


def turned_hue(angles: torch.Tensor) -> torch.Tensor:
    """Matrices (N, 3, 3) that turn colours about the axis of greys by angles (N,) in radians (Rodrigues' formula)."""
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    return cosine * torch.eye(3) + sine * cross + (1 - cosine) / 3
