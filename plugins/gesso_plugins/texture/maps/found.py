"""Material maps of a picture of any size by the network: what wraps in the picture wraps in every map, and the maps agree with one another.

The network finds height, roughness and metalness; normals and occlusion follow from the height by `gesso.media.relief`, whatever the
picture. Large pictures are looked at smaller, and the maps brought back to their size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from gesso.media import MaterialMaps
from gesso.media.relief import normals, occlusion
from gesso.media.working import resampled
from gesso.model.seamless import make_seamless
from gesso_plugins.texture.maps.network import MULTIPLE, MapsNetwork
from gesso_plugins.texture.surroundings import padded, wraps

Plane = npt.NDArray[np.float32]
WORKING = 512
"""The longest side at which the network looks: its memory and time grow with the area."""
MARGIN = 48
"""How far a picture that does not wrap is mirrored beyond its edges."""
STEEPEST = 0.25
"""The largest relief (a share of the shorter side) that a map tells; what the network makes of noise can be beyond all measure."""


def find_maps(network: MapsNetwork, picture: Plane, tile: str) -> MaterialMaps:
    """The maps of a picture (H, W, 3) in 0..1, sRGB, that wraps along the axes of ``tile``."""
    height, width = picture.shape[:2]
    size = _working_size(width, height)
    seen = np.clip(resampled(picture, size, tile), 0, 1)
    pads = _pads(seen.shape[1], seen.shape[0], tile)
    level, roughness, metallic = (_cropped(plane, pads) for plane in _ask(network, padded(seen, pads, tile)))
    scale = min(width, height) / min(size)
    level, roughness, metallic = (resampled(plane, (width, height), tile) for plane in (level * np.float32(scale), roughness, metallic))
    return _agreeing(picture, level / np.float32(min(width, height)), np.clip(roughness, 0, 1), np.clip(metallic, 0, 1), tile)


def _agreeing(picture: Plane, height: Plane, roughness: Plane, metallic: Plane, tile: str) -> MaterialMaps:
    """All maps of one height (a share of the shorter side)."""
    low, high = float(height.min()), float(height.max())
    relief = min(high - low, STEEPEST)
    flat = relief < 1e-5
    unit = np.full_like(height, 0.5) if flat else (height - low) * np.float32(1 / (high - low))
    margin = 0 if tile == "xy" else min(MARGIN, *height.shape)
    pads = (0 if wraps(tile, "y") else margin,) * 2 + (0 if wraps(tile, "x") else margin,) * 2
    side = np.float32(min(height.shape) / min(n + 2 * p for n, p in zip(height.shape, (pads[0], pads[2]), strict=True)))
    around = padded(unit * np.float32(0.0 if flat else relief), pads, tile) * side
    return MaterialMaps(
        base_color=picture,
        height=unit,
        normal=_cropped(normals(around), pads),
        roughness=roughness,
        metallic=metallic,
        ambient_occlusion=_cropped(occlusion(around), pads),
        relief=0.0 if flat else relief,
    )


def _ask(network: MapsNetwork, picture: Plane) -> tuple[Plane, Plane, Plane]:
    """The network's planes (H, W): height in pixels, roughness, metalness. Both sides are multiples of 16, and wrap."""
    pictures = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None] * 2 - 1
    device = next(network.parameters()).device
    padding = make_seamless(network)
    try:
        with torch.no_grad():
            made = network(pictures.to(device))
    finally:
        padding.eject()
    planes = (made.height, made.roughness.sigmoid(), made.metallic.sigmoid())
    height, roughness, metallic = (plane[0].float().cpu().numpy() for plane in planes)
    return height, roughness, metallic


def _working_size(width: int, height: int) -> tuple[int, int]:
    """The nearest size of whole multiples that is not too large."""
    scale = min(1.0, WORKING / max(width, height))
    across, down = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height))
    return across, down


def _pads(width: int, height: int, tile: str) -> tuple[int, int, int, int]:
    """(top, bottom, left, right): none along an axis that wraps, elsewhere a margin, no wider than the picture."""
    across, down = (0 if wraps(tile, axis) else min(MARGIN, side) for axis, side in (("x", width), ("y", height)))
    return down, down, across, across


def _cropped(plane: Plane, pads: tuple[int, int, int, int]) -> Plane:
    top, bottom, left, right = pads
    return np.ascontiguousarray(plane[top : plane.shape[0] - bottom, left : plane.shape[1] - right])
