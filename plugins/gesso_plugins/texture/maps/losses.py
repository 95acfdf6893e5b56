"""What a good prediction is: the scores of `gesso evaluate maps` themselves, and two terms that lead there where a score says little."""

from __future__ import annotations

import torch
from torch.nn import functional

from gesso.media.relief import REACHES
from gesso_plugins.texture.maps.config import LossConfig
from gesso_plugins.texture.maps.data import Truth
from gesso_plugins.texture.maps.network import Predicted


def slopes(height: torch.Tensor) -> torch.Tensor:
    """Rise per pixel to the right and upwards (N, 2, H, W), with wrap, of heights (N, H, W) in pixels: `gesso.media.relief` in torch."""
    right = (torch.roll(height, -1, 2) - torch.roll(height, 1, 2)) / 2
    up = (torch.roll(height, 1, 1) - torch.roll(height, -1, 1)) / 2
    return torch.stack([right, up], 1)


def normals(height: torch.Tensor) -> torch.Tensor:
    """Unit normals (N, 3, H, W)."""
    rise = slopes(height)
    return functional.normalize(torch.cat([-rise, torch.ones_like(rise[:, :1])], 1), dim=1)


def unit_height(height: torch.Tensor) -> torch.Tensor:
    """Heights stretched to 0..1 per picture; a flat one is 0.5."""
    low, high = height.amin((1, 2), keepdim=True), height.amax((1, 2), keepdim=True)
    span = high - low
    return torch.where(span < 1e-4, torch.full_like(height, 0.5), (height - low) / span.clamp(min=1e-4))


def occlusion(height: torch.Tensor) -> torch.Tensor:
    """Ambient occlusion (N, H, W) of heights in pixels, the formula of `gesso.media.relief` in torch."""
    rows, columns = height.shape[1:]
    side = min(rows, columns)
    fy = torch.fft.fftfreq(rows, 1 / rows)[:, None] * (side / rows)
    fx = torch.fft.rfftfreq(columns, 1 / columns)[None, :] * (side / columns)
    spectrum = torch.fft.rfft2(height / side)
    closed = torch.zeros_like(height)
    for reach, strength in REACHES:
        around = torch.fft.irfft2(spectrum * torch.exp(-2 * (torch.pi * reach) ** 2 * (fx**2 + fy**2)), s=(rows, columns))
        closed = closed + (around - height / side).clamp(min=0) * strength
    return (1 / (1 + closed * 1.6)).clamp(min=0.15)


def maps_loss(made: Predicted, truth: Truth, config: LossConfig) -> dict[str, torch.Tensor]:
    """The terms, weighted; their sum is minimised. The first five are mean errors as they are scored, in units of the baseline's."""
    centred = truth.height - truth.height.mean((1, 2), keepdim=True)
    return {
        "height": functional.l1_loss(unit_height(made.height), unit_height(truth.height)) / config.height,
        "normal": _apart(normals(made.height), normals(truth.height)) / config.normal,
        "roughness": functional.l1_loss(made.roughness.sigmoid(), truth.roughness) / config.roughness,
        "metallic": functional.l1_loss(made.metallic.sigmoid(), truth.metallic) / config.metallic,
        "occlusion": functional.l1_loss(occlusion(made.height), occlusion(truth.height)) / config.occlusion,
        "coarse": config.coarse * _coarse(made.height, centred),
        "doubt": config.doubt * functional.binary_cross_entropy_with_logits(made.metallic, truth.metallic),
    }


def _apart(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean chord between unit normals (N, 3, H, W): the angle, but for what is beyond its second order."""
    return ((made - wanted).square().sum(1) + 1e-6).sqrt().mean()


def _coarse(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The height's error seen from afar, where slopes say little; in units of four pixels, and large ones count less."""
    pooled = [functional.avg_pool2d(height[:, None], 4) for height in (made, wanted)]
    return functional.smooth_l1_loss(pooled[0] / 4, pooled[1] / 4, beta=0.25)
