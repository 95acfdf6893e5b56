"""Documents as models and filters see them: float32 in sRGB, and back into the document's own numbers. It reads no file."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gesso.media.documents import Document
from gesso.media.images import quantised
from gesso.media.profile import through_littlecms

Pixels = npt.NDArray[np.float32]
LARGEST = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0}
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Rec. 709: the weights of red, green and blue in brightness."""


def to_float(pixels: npt.NDArray[Any]) -> Pixels:
    """Samples of any depth (uint8, uint16, float16, float32) as float32; whole numbers become 0..1, floats stay as they are."""
    return pixels.astype(np.float32) / np.float32(LARGEST[str(pixels.dtype)])


def to_depth(values: npt.NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Float32 to a depth: whole numbers rounded and clipped, floats as they are."""
    largest = LARGEST[str(dtype)]
    if dtype.kind == "f":
        return values.astype(dtype)
    scaled = values * values.dtype.type(largest)
    scaled += 0.5
    rounded: npt.NDArray[Any] = np.clip(scaled, 0, largest, out=scaled).astype(dtype)  # which cuts fractions off
    return rounded


def divided(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples whose last channel is an alpha that colours were multiplied with, without that; where nothing is seen they stay."""
    values = to_float(pixels)
    alpha = values[..., -1:]
    colours = np.where(alpha > 0, values[..., :-1] / np.where(alpha > 0, alpha, 1), values[..., :-1])
    return to_depth(np.concatenate([colours, alpha], -1), pixels.dtype)


def multiplied(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples with their colours multiplied with the alpha, which is the last channel."""
    values = to_float(pixels)
    return to_depth(np.concatenate([values[..., :-1] * values[..., -1:], values[..., -1:]], -1), pixels.dtype)


def straight(document: Document) -> Document:
    """The document with its colours as they are, whatever the alpha."""
    return replace(document, pixels=divided(document.pixels), associated=False) if document.associated else document


def to_srgb(document: Document, pixels: npt.NDArray[Any]) -> Pixels:
    """Some of a document's pixels as a model sees them: sRGB (h, w, 3), 0..1, over grey where they are transparent."""
    values = to_float(pixels)
    if document.associated:
        values = np.asarray(divided(values), np.float32)
    colours = values[..., :3] if values.shape[2] > 2 else np.repeat(values[..., :1], 3, 2)
    if document.profile.matrix is None:
        assert document.profile.icc is not None
        converted = through_littlecms(quantised(colours, 8), document.profile.icc, back=False).astype(np.float32) / np.float32(255)
    else:
        converted = document.profile.to_srgb(colours)
    converted = np.asarray(np.clip(converted, 0, 1), np.float32)
    if values.shape[2] in (2, 4):
        alpha = np.clip(values[..., -1:], 0, 1)
        converted = converted * alpha + np.float32(0.5) * (1 - alpha)
    return np.ascontiguousarray(converted, np.float32)


def from_srgb(document: Document, values: Pixels) -> Pixels:
    """A result as the document encodes colours: as many channels, opaque where it has an alpha."""
    if document.profile.matrix is None:
        assert document.profile.icc is not None
        made = through_littlecms(quantised(values, 8), document.profile.icc, back=True).astype(np.float32) / np.float32(255)
    else:
        made = document.profile.from_srgb(values)
    channels = document.pixels.shape[2]
    if channels < 3:
        made = made @ LUMA[:, None]
    if channels in (2, 4):
        made = np.concatenate([made, np.ones_like(made[..., :1])], 2)
    return np.asarray(made, np.float32)


def resized(pixels: Pixels, size: tuple[int, int], tile: str = "none") -> Pixels:
    """Colours at another size, cut to 0..1; see `resampled`."""
    if pixels.shape[1::-1] == size:
        return pixels
    made = resampled(pixels, size, tile)
    return np.clip(made, 0, 1, out=made)


def enlarged(pixels: Pixels, size: tuple[int, int], part: tuple[int, int, int, int]) -> Pixels:
    """`resized`, and of the result one part alone: (left, top, right, bottom) in its pixels."""
    width, height = part[2] - part[0], part[3] - part[1]
    across, down = pixels.shape[1] / size[0], pixels.shape[0] / size[1]
    made = _lanczos(pixels, (width, height), (part[0] * across, part[1] * down, part[2] * across, part[3] * down))
    return np.clip(made, 0, 1, out=made)


def resampled(planes: Pixels, size: tuple[int, int], tile: str = "none") -> Pixels:
    """(h, w) or (h, w, C) at another size (width, height), by Lanczos. Along the axes of ``tile`` it goes on at its other side."""
    height, width = planes.shape[:2]
    if (width, height) == size:
        return planes
    x, y = (_lobes(before, after) if axis in tile else 0 for axis, before, after in zip("xy", (width, height), size, strict=True))
    layers = planes[..., None] if planes.ndim == 2 else planes
    padded = np.pad(layers, ((y, y), (x, x), (0, 0)), mode="wrap") if tile != "none" else layers
    made = _lanczos(padded, size, (x, y, x + width, y + height))
    return made[..., 0] if planes.ndim == 2 else made


def _lanczos(layers: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]) -> Pixels:
    """What lies in a box (left, top, right, bottom) of (h, w, C), at a size (width, height)."""
    made = np.empty((size[1], size[0], layers.shape[2]), np.float32)
    for c in range(layers.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(layers[..., c]))
        made[..., c] = np.asarray(plane.resize(size, Image.Resampling.LANCZOS, box))
    return made


def _lobes(before: int, after: int) -> int:
    """How far Lanczos looks."""
    return math.ceil(3 * max(1.0, before / after)) + 1


def brightness(document: Document) -> Pixels:
    """A mask's say (H, W) in 0..1: how bright it is, nothing where it is transparent."""
    values = to_float(document.pixels)
    grey = values[..., :3] @ LUMA if values.shape[2] > 2 else values[..., 0]
    grey = np.where(grey > 1 - 1e-6, 1, grey)  # white is 1, however its weights are rounded
    shown = grey * values[..., -1] if values.shape[2] in (2, 4) and not document.associated else grey
    return np.asarray(np.clip(shown, 0, 1), np.float32)
