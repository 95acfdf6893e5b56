"""The maps of a material and how they come from its layers: filtering, normals, occlusion, and one plain light to look at them by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesso.media.relief import normals, occlusion

from .arrays import Field
from .surface import Surface

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Maps:
    """All maps of one tile, float32 in 0..1, every one periodic in both axes."""

    base_color: Map
    """(H, W, 3) albedo without baked light, sRGB-encoded."""
    height: Map
    """(H, W) from the lowest point (0) to the highest (1); flat materials are 0.5."""
    normal: Map
    """(H, W, 3) tangent-space normal, OpenGL convention (+Y up), encoded as n / 2 + 1 / 2."""
    roughness: Map
    """(H, W) perceptual roughness."""
    metallic: Map
    """(H, W) 0 for dielectrics, 1 for metals."""
    ambient_occlusion: Map
    """(H, W) 1 in the open, less in crevices."""
    emission: Map
    """(H, W) share of `base_color` that shines by itself; 0 for nearly everything."""
    relief: float
    """What a height of 1 measures, as a share of the tile's shorter side: the strength of a displacement."""


def assemble(surface: Surface, factor: int) -> Maps:
    """Filter the layers down by `factor` and derive the other maps."""
    height = _shrunk(surface.height, factor)
    normal = normals(height * np.float32(surface.relief))
    low, high = float(height.min()), float(height.max())
    flat = high - low < 1e-6
    relief = surface.relief * (high - low)
    unit = np.full_like(height, 0.5) if flat else (height - low) * np.float32(1.0 / (high - low))
    shape = height.shape
    return Maps(
        base_color=_filtered_colour(surface.colour, factor),
        height=np.clip(unit, 0.0, 1.0),
        normal=normal,
        roughness=_layer(surface.roughness, shape, factor),
        metallic=_layer(surface.metallic, shape, factor),
        ambient_occlusion=occlusion(unit * np.float32(relief)),
        emission=_layer(surface.glow, shape, factor),
        relief=relief,
    )


def shade(maps: Maps) -> Map:
    """The lit picture (H, W, 3), sRGB-encoded 0..1: one light from the upper left, sky by occlusion, a hint of gloss."""
    x, y, z = np.ascontiguousarray(np.moveaxis(maps.normal, 2, 0)) * np.float32(2.0) - np.float32(1.0)
    base = np.ascontiguousarray(np.moveaxis(maps.base_color, 2, 0))
    lx, ly, lz = np.float32(-0.46), np.float32(0.46), np.float32(0.76)
    facing = np.maximum(x * lx + y * ly + z * lz, 0.0) / lz
    sky = 0.42 * maps.ambient_occlusion * (0.75 + 0.25 * z)
    light = sky + 0.58 * facing * (0.35 + 0.65 * maps.ambient_occlusion)
    half = np.array((lx, ly, lz + 1.0), np.float32)
    half /= np.sqrt(half @ half)
    gloss = 1.0 - maps.roughness
    shine = np.maximum(x * half[0] + y * half[1] + z * half[2], 0.0)
    for _ in range(5):
        shine = shine * shine
    resting = half[2] ** np.float32(32.0)
    spark = gloss * gloss * (shine - resting) * (0.55 + 0.45 * maps.metallic)
    bend = 1.0 + maps.metallic * (0.9 * y - 0.35 * x) * (0.4 + 0.6 * gloss)
    lit = base * (light * bend + 0.45 * spark) + 0.55 * spark
    if maps.emission.any():
        lit += (base - lit) * maps.emission
    return np.ascontiguousarray(np.moveaxis(np.clip(lit, 0.0, 1.0, out=lit), 0, 2))


def to_uint8(picture: Map) -> NDArray[np.uint8]:
    """A picture in 0..1 as bytes, rounded to nearest."""
    return (picture * np.float32(255.0) + np.float32(0.5)).astype(np.int32).astype(np.uint8)


def _layer(layer: Field | float, shape: tuple[int, ...], factor: int) -> Map:
    if isinstance(layer, float):
        return np.full(shape, min(max(layer, 0.0), 1.0), np.float32)
    return np.clip(_shrunk(layer, factor), 0.0, 1.0)


def _shrunk(field: Field, factor: int) -> Map:
    """Area filter: the mean of each factor x factor block."""
    if factor == 1:
        return np.asarray(field, np.float32)
    rows = field[..., 0::2, :] + field[..., 1::2, :]
    return np.asarray((rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25), np.float32)


def _filtered_colour(colour: Field, factor: int) -> Map:
    """Planes (3, H, W) to a filtered picture (H, W, 3); the mean is taken near linear light (gamma 2)."""
    clipped = np.clip(colour, 0.0, 1.0)
    small = clipped if factor == 1 else np.sqrt(_shrunk(clipped * clipped, factor))
    return np.ascontiguousarray(np.moveaxis(small, 0, 2), dtype=np.float32)
