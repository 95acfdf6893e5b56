"""Errors of the maps on renders whose maps are known, beside the baseline that takes brightness for height.

The baseline is as good as it can be made: its four lines (height, roughness and metalness from luminance) are fitted by least squares
to the renders that the network was trained on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from gesso.model.seamless import make_seamless
from gesso_plugins.texture.maps.data import MapsPool, Truth
from gesso_plugins.texture.maps.losses import normals, occlusion, unit_height
from gesso_plugins.texture.maps.network import MapsNetwork


@dataclass(frozen=True)
class Errors:
    """Mean absolute errors over all pixels; the normal's in degrees."""

    height: float
    normal: float
    roughness: float
    metallic: float
    ambient_occlusion: float

    def as_json(self) -> dict[str, float]:
        """For the record."""
        return asdict(self)


@dataclass(frozen=True)
class Planes:
    """What is compared (N, H, W): height in pixels, roughness and metalness in 0..1."""

    height: torch.Tensor
    roughness: torch.Tensor
    metallic: torch.Tensor


def luminance(pictures: torch.Tensor) -> torch.Tensor:
    """Rec. 709 luma (N, H, W) in 0..1 of pictures in [-1, 1]."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722])[:, None, None]
    return ((pictures + 1) / 2 * weights).sum(1)


def fit_baseline(truth: Truth) -> dict[str, tuple[float, float]]:
    """Intercept and slope by least squares, per plane, on centred luminance for heights."""
    light = luminance(truth.pictures)
    centred = light - light.mean((1, 2), keepdim=True)
    height = truth.height - truth.height.mean((1, 2), keepdim=True)
    lines = {"height": (0.0, float((centred * height).sum() / centred.square().sum()))}
    for name, plane in (("roughness", truth.roughness), ("metallic", truth.metallic)):
        slope = float(((light - light.mean()) * (plane - plane.mean())).sum() / (light - light.mean()).square().sum())
        lines[name] = (float(plane.mean()) - slope * float(light.mean()), slope)
    return lines


def baseline(truth: Truth, lines: dict[str, tuple[float, float]]) -> Planes:
    """Brightness taken for height."""
    light = luminance(truth.pictures)
    centred = light - light.mean((1, 2), keepdim=True)
    roughness, metallic = ((lines[name][0] + lines[name][1] * light).clamp(0, 1) for name in ("roughness", "metallic"))
    return Planes(lines["height"][1] * centred, roughness, metallic)


@torch.no_grad()
def predict(network: MapsNetwork, pictures: torch.Tensor, batch: int = 16) -> Planes:
    """The network's maps of tiles that wrap."""
    padding = make_seamless(network.eval())
    parts = [network(pictures[i : i + batch]) for i in range(0, len(pictures), batch)]
    padding.eject()
    return Planes(
        torch.cat([part.height for part in parts]),
        torch.cat([part.roughness for part in parts]).sigmoid(),
        torch.cat([part.metallic for part in parts]).sigmoid(),
    )


def errors(made: Planes, truth: Truth) -> Errors:
    """How far planes are from the truth."""
    facing = (normals(made.height) * normals(truth.height)).sum(1).clamp(-1, 1)
    return Errors(
        height=_mean(unit_height(made.height) - unit_height(truth.height)),
        normal=float(torch.rad2deg(torch.acos(facing)).mean()),
        roughness=_mean(made.roughness - truth.roughness),
        metallic=_mean(made.metallic - truth.metallic),
        ambient_occlusion=_mean(occlusion(made.height) - occlusion(truth.height)),
    )


def everything(pool: MapsPool, count: int) -> Truth:
    """The first `count` renders of a pool as they are."""
    return pool.truth(list(range(count)), [(0, 0)] * count)


def _mean(difference: torch.Tensor) -> float:
    return float(difference.abs().mean())
