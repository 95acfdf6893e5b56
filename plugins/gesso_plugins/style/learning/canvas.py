"""What every painting starts from: smooth noise, tone, directions and dabs of paint, drawn from a generator that the caller owns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage, spatial

Field = NDArray[np.float32]
Rng = np.random.Generator
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
FINER = 2
"""Strokes are drawn so many times as large and averaged down, so that their edges are soft."""


@dataclass(frozen=True)
class Strokes:
    """Straight dabs: middles (N, 2) as x, y, directions (N) in radians, colours (N, 3) in 0..1, one length and width for all, in pixels."""

    middles: Field
    angles: Field
    colours: Field
    length: float
    width: float


def noise(rng: Rng, size: int, scale: float) -> Field:
    """Smooth noise (S, S) in 0..1 whose features are about ``scale`` pixels wide."""
    field = ndimage.gaussian_filter(rng.standard_normal((size, size)).astype(np.float32), scale / 2, mode="wrap")
    low, high = np.percentile(field, (2, 98))
    return np.asarray(np.clip((field - low) / max(high - low, 1e-6), 0, 1), np.float32)


def grain(rng: Rng, size: int, amount: float, scale: float = 1.0) -> Field:
    """A factor (S, S, 1) about 1: the tooth of paper or canvas."""
    return 1 + amount * (noise(rng, size, scale)[..., None] - 0.5)


def tone(picture: Field) -> Field:
    """Brightness (S, S) in 0..1."""
    return np.asarray(picture @ LUMA, np.float32)


def blurred(picture: Field, deviation: float) -> Field:
    """Blurred along both sides, not across the channels."""
    return np.asarray(ndimage.gaussian_filter(picture, (deviation, deviation, 0), mode="reflect"), np.float32)


def along_edges(picture: Field, deviation: float) -> Field:
    """The direction (S, S) in radians in which the brightness changes least, by the smoothed structure tensor."""
    grey = ndimage.gaussian_filter(tone(picture), 1.0)
    dx, dy = ndimage.sobel(grey, 1), ndimage.sobel(grey, 0)
    xx, yy, xy = (ndimage.gaussian_filter(product, deviation) for product in (dx * dx, dy * dy, dx * dy))
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2, np.float32)


def jittered_grid(rng: Rng, size: int, step: float) -> Field:
    """Points (N, 2) as x, y, in random order, one in each cell of a grid."""
    count = max(1, round(size / step))
    rows, columns = np.mgrid[0:count, 0:count].astype(np.float32)
    places = np.stack([columns, rows], -1).reshape(-1, 2) + rng.random((count * count, 2), np.float32)
    return np.asarray(rng.permutation(places) * (size / count), np.float32)


def at(plane: Field, places: Field) -> Field:
    """The values of a picture or plane at places (N, 2)."""
    rows = np.clip(places[:, 1].astype(int), 0, plane.shape[0] - 1)
    columns = np.clip(places[:, 0].astype(int), 0, plane.shape[1] - 1)
    return np.asarray(plane[rows, columns], np.float32)


def opened(background: Field) -> Image.Image:
    """A background in 0..1 as a canvas to draw on, ``FINER`` times as large."""
    size = background.shape[0] * FINER
    return Image.fromarray(np.clip(background * 255, 0, 255).astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST)


def closed(canvas: Image.Image) -> Field:
    """Back at its own size, in 0..1."""
    size = canvas.width // FINER
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX), np.float32) / np.float32(255)


def stroke(canvas: Image.Image, strokes: Strokes) -> None:
    """Lay the dabs on, in their order, with round ends."""
    pen = ImageDraw.Draw(canvas)
    half = np.stack([np.cos(strokes.angles), np.sin(strokes.angles)], 1) * strokes.length / 2
    starts, ends = (strokes.middles - half) * FINER, (strokes.middles + half) * FINER
    colours = np.clip(strokes.colours * 255, 0, 255).astype(int)
    width = max(1, round(strokes.width * FINER))
    radius = width / 2
    for (x, y), (u, v), colour in zip(starts.tolist(), ends.tolist(), colours.tolist(), strict=True):
        paint = (colour[0], colour[1], colour[2])
        pen.line((x, y, u, v), paint, width)
        if width > 2:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), paint)
            pen.ellipse((u - radius, v - radius, u + radius, v + radius), paint)


def cells(rng: Rng, size: int, step: float) -> tuple[NDArray[np.intp], Field]:
    """A Voronoi mosaic: the number of each pixel's cell (S, S), and how far it is from its cell's border, in pixels."""
    points = jittered_grid(rng, size, step)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    found = spatial.cKDTree(points).query(np.stack([columns, rows], -1).reshape(-1, 2) + 0.5, k=2)
    distances, nearest = np.asarray(found[0], np.float32), np.asarray(found[1], np.intp)
    return nearest[:, 0].reshape(size, size), np.asarray(distances[:, 1] - distances[:, 0], np.float32).reshape(size, size) / np.float32(2)


def mean_by_cell(picture: Field, numbers: NDArray[np.intp]) -> Field:
    """Each cell in its mean colour."""
    flat, count = numbers.ravel(), int(numbers.max()) + 1
    sizes = np.maximum(np.bincount(flat, minlength=count), 1)
    means = np.stack([np.bincount(flat, picture[..., c].ravel(), count) / sizes for c in range(3)], 1)
    return np.asarray(means[numbers], np.float32)
