"""Pictures to be restyled: landscapes of shapes, each filled with a material or a gradient, lit and shaded. Shapes alone, no photograph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gesso_plugins.style.learning.canvas import Field, Rng, noise

PLAIN = 0.15
"""The share of scenes that are one material and nothing else."""


def scene(rng: Rng, tiles: NDArray[np.uint8]) -> Field:
    """One scene (S, S, 3) in 0..1 of some of the renders ``tiles`` (N, S, S, 3)."""
    size = tiles.shape[1]
    if rng.random() < PLAIN:
        return _filling(rng, tiles)
    picture = _backdrop(rng, size) if rng.random() < 0.6 else _filling(rng, tiles)
    for level in np.sort(rng.uniform(0.35, 0.95, rng.integers(0, 3))):
        picture = _over(picture, _hill(rng, size, float(level)), _filling(rng, tiles), rng)
    for _ in range(rng.integers(1, 5)):
        shape = _blob(rng, size)
        picture = _over(picture, shape, _filling(rng, tiles), rng)
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _backdrop(rng: Rng, size: int) -> Field:
    """A sky: two colours that pass into one another, with clouds."""
    top, bottom = rng.uniform(0.1, 1.0, (2, 3)).astype(np.float32)
    height = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    clouds = noise(rng, size, size / 5)[..., None] * rng.uniform(0, 0.3)
    return np.asarray(np.broadcast_to(top * (1 - height) + bottom * height, (size, size, 3)) + clouds, np.float32)


def _filling(rng: Rng, tiles: NDArray[np.uint8]) -> Field:
    """A material, rolled, sometimes tinted; or one colour with some unevenness."""
    size = tiles.shape[1]
    if rng.random() < 0.3:
        colour = rng.uniform(0.05, 0.95, 3).astype(np.float32)
        return np.asarray(np.clip(colour + 0.15 * (noise(rng, size, size / 6)[..., None] - 0.5), 0, 1), np.float32)
    tile = tiles[rng.integers(len(tiles))].astype(np.float32) / np.float32(255)
    tile = np.roll(tile, tuple(rng.integers(0, size, 2).tolist()), (0, 1))
    return np.asarray(np.clip(tile * rng.uniform(0.7, 1.3, 3).astype(np.float32), 0, 1), np.float32)


def _hill(rng: Rng, size: int, level: float) -> Field:
    """What lies under a horizon (S, S): 1 on the ground, light falling off downwards is left to the shading."""
    line = noise(rng, size, size / rng.uniform(2, 8))[0] * rng.uniform(0.05, 0.3) + level - 0.1
    rows = np.arange(size, dtype=np.float32)[:, None] / size
    return np.asarray(np.clip((rows - line[None]) * size + 0.5, 0, 1), np.float32)


def _blob(rng: Rng, size: int) -> Field:
    """A rounded, angular or wavy shape (S, S): a radius that depends on the angle."""
    x, y = rng.uniform(0.15, 0.85, 2) * size
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    stretch = rng.uniform(0.6, 1.6)
    dx, dy = (columns - x) * stretch, (rows - y) / stretch
    angle = np.arctan2(dy, dx) + rng.uniform(0, 6.28)
    corners = int(rng.integers(3, 8))
    kind = rng.integers(3)
    if kind == 0:
        shape = 1 + rng.uniform(0, 0.2) * np.sin(corners * angle)
    elif kind == 1:
        part = 2 * np.pi / corners
        shape = np.cos(part / 2) / np.cos(angle % part - part / 2)
    else:
        shape = 1 + 0.35 * np.abs(np.sin(corners / 2 * angle))
    radius = rng.uniform(0.08, 0.32) * size
    return np.asarray(np.clip(radius * shape - np.hypot(dx, dy) + 0.5, 0, 1), np.float32)


def _over(picture: Field, shape: Field, filling: Field, rng: Rng) -> Field:
    """The filling where the shape is, lit from one side, with a shadow beneath."""
    size = picture.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    direction = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 1.1) * (np.cos(direction) * columns + np.sin(direction) * rows)
    shift = tuple(int(v) for v in rng.integers(1, max(2, size // 20), 2))
    shadow = np.roll(shape, shift, (0, 1)) * (1 - shape) * rng.uniform(0, 0.6)
    mask = shape[..., None]
    return np.asarray(picture * (1 - shadow[..., None]) * (1 - mask) + np.clip(filling * light[..., None], 0, 1) * mask, np.float32)
