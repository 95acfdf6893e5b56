"""Paintings by rule: each medium is a function of a picture and a generator. They only have to look painted, not like anybody's work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gesso_plugins.style.learning.canvas import (
    Field,
    Rng,
    Strokes,
    along_edges,
    at,
    blurred,
    cells,
    closed,
    grain,
    jittered_grid,
    mean_by_cell,
    noise,
    opened,
    stroke,
    tone,
)

Medium = Callable[[Field, Rng], Field]


def oil(picture: Field, rng: Rng) -> Field:
    """Three layers of strokes along the edges, broad ones first, with the relief of the paint."""
    size = picture.shape[0]
    angles = along_edges(picture, 4.0) + rng.normal(0, 0.2)
    coarsest = rng.uniform(6, 11)
    canvas = opened(blurred(picture, 8))
    for width in (coarsest, coarsest / 2, coarsest / 3.5):
        places = jittered_grid(rng, size, width * 0.9)
        colours = at(blurred(picture, width / 3), places) + rng.normal(0, 0.045, (len(places), 1)) + rng.normal(0, 0.02, (len(places), 3))
        if width < coarsest:
            detail = np.abs(blurred(picture, 1.0) - blurred(picture, coarsest / 2)).mean(-1)
            kept = at(detail, places) > np.quantile(detail, 0.4)
            places, colours = places[kept], colours[kept]
        turned = at(angles, places) + rng.normal(0, 0.25, len(places)).astype(np.float32)
        stroke(canvas, Strokes(places, turned, np.asarray(colours, np.float32), width * rng.uniform(1.5, 3.0), width))
    painted = closed(canvas)
    relief = ndimage.gaussian_filter(tone(painted), 0.7)
    lit = (np.roll(relief, 1, 0) - np.roll(relief, -1, 0) + np.roll(relief, 1, 1) - np.roll(relief, -1, 1)) * rng.uniform(0.3, 1.0)
    return np.asarray(painted * grain(rng, size, 0.1, 1.2) + lit[..., None] * 0.5, np.float32)


def swirls(picture: Field, rng: Rng) -> Field:
    """Streaks that follow a whirling field: colour noise, smeared along it."""
    size = picture.shape[0]
    turn = noise(rng, size, size / rng.uniform(3, 7)) * rng.uniform(3, 8) + 0.5 * along_edges(picture, 6.0)
    loose = blurred(picture, 1.5) + rng.normal(0, rng.uniform(0.12, 0.25), (size, size, 1)) + rng.normal(0, 0.08, (size, size, 3))
    return _smeared(np.asarray(loose, np.float32), turn, int(rng.integers(6, 14)), 1.4)


def dashes(picture: Field, rng: Rng) -> Field:
    """Short, thick, unmixed dashes in strong colours on a toned ground."""
    size = picture.shape[0]
    step = rng.uniform(3.5, 6.5)
    turn = along_edges(picture, 5.0) * 0.5 + noise(rng, size, size / 4) * rng.uniform(1, 5)
    canvas = opened(np.broadcast_to(rng.uniform(0.15, 0.9, 3).astype(np.float32), picture.shape))
    for _ in range(2):
        places = jittered_grid(rng, size, step)
        colours = _vivid(at(blurred(picture, 1.0), places), rng.uniform(1.2, 2.0)) + rng.normal(0, 0.09, (len(places), 3))
        stroke(canvas, Strokes(places, at(turn, places), np.asarray(colours, np.float32), step * rng.uniform(1.2, 2.2), step * 0.45))
    return closed(canvas)


def points(picture: Field, rng: Rng) -> Field:
    """Pointillism: dots of nearly pure colour beside one another."""
    size = picture.shape[0]
    step = rng.uniform(2.6, 4.5)
    canvas = opened(np.broadcast_to(rng.uniform(0.7, 1.0, 3).astype(np.float32), picture.shape))
    for _ in range(2):
        places = jittered_grid(rng, size, step)
        colours = _vivid(at(picture, places), 1.5) + rng.normal(0, rng.uniform(0.1, 0.2), (len(places), 3))
        stroke(canvas, Strokes(places, np.zeros(len(places), np.float32), np.asarray(colours, np.float32), 0.2, step * 0.85))
    return closed(canvas)


def hatching(picture: Field, rng: Rng) -> Field:
    """Crossed lines, denser where it is dark, in one ink on paper."""
    size = picture.shape[0]
    dark = 1 - np.clip((tone(blurred(picture, 1.0)) - 0.1) / 0.8, 0, 1)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    waver = noise(rng, size, 10) * 2
    first, period = rng.uniform(0, np.pi), rng.uniform(3.0, 5.5)
    ink = np.zeros((size, size), np.float32)
    for number, level in enumerate((0.2, 0.42, 0.62, 0.8)):
        angle = first + (0, np.pi / 2, np.pi / 4, 3 * np.pi / 4)[number]
        phase = (columns * np.cos(angle) + rows * np.sin(angle) + waver) / period
        line = np.clip(1.6 - np.abs(phase % 1 - 0.5) * period * 2.2, 0, 1)
        ink = np.maximum(ink, line * np.clip((dark - level) * 6, 0, 1))
    return _inked(ink * rng.uniform(0.75, 1.0) * grain(rng, size, 0.5)[..., 0], rng, size)


def pencil(picture: Field, rng: Rng) -> Field:
    """Soft shading in one direction over a rough paper, and darker outlines."""
    size = picture.shape[0]
    dark = 1 - tone(blurred(picture, 0.8))
    streaks = _smeared(rng.random((size, size, 1), np.float32), np.full((size, size), rng.uniform(0, np.pi), np.float32), 7, 1.0)
    edges = ndimage.gaussian_gradient_magnitude(tone(picture), 0.9)
    shade = dark * (0.45 + 0.9 * (streaks[..., 0] - 0.35)) * grain(rng, size, 0.5)[..., 0] + np.clip(edges * 5, 0, 0.7)
    return _inked(np.clip(shade, 0, 1), rng, size)


def stipple(picture: Field, rng: Rng) -> Field:
    """Ink dots, as large as it is dark."""
    size = picture.shape[0]
    places = jittered_grid(rng, size, rng.uniform(2.2, 3.6))
    dark = 1 - at(tone(blurred(picture, 1.0)), places)
    ink = opened(np.zeros((size, size, 3), np.float32))
    for level in (0.25, 0.5, 0.7):
        some = places[dark > level + rng.normal(0, 0.08, len(places))]
        stroke(ink, Strokes(some, np.zeros(len(some), np.float32), np.ones((len(some), 3), np.float32), 0.2, 0.8 + 2.2 * level))
    return _inked(closed(ink)[..., 0], rng, size)


def watercolour(picture: Field, rng: Rng) -> Field:
    """Flat washes with ragged borders that dry darker, pigment that gathers, and paper that shines through."""
    size = picture.shape[0]
    waver = [(noise(rng, size, 7) - 0.5) * rng.uniform(3, 8) for _ in range(2)]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    places = np.clip(np.stack([columns + waver[0], rows + waver[1]], -1), 0, size - 1)
    loose = at(blurred(picture, 1.2), places.reshape(-1, 2)).reshape(picture.shape)
    numbers, _ = cells(rng, size, rng.uniform(5, 9))
    wash = blurred(0.55 * mean_by_cell(loose, numbers) + 0.45 * loose, 0.8)
    edge = ndimage.gaussian_gradient_magnitude(tone(wash), 1.0)[..., None]
    gathered = 1 + (noise(rng, size, size / 6) - 0.5)[..., None] * rng.uniform(0.3, 0.7)
    density = (1 - wash) * rng.uniform(0.65, 0.95) * gathered * (1 + 4 * edge)
    return np.asarray((1 - np.clip(density, 0, 1)) * grain(rng, size, 0.14, 1.5) + 0.02, np.float32)


def wash(picture: Field, rng: Rng) -> Field:
    """Ink and water: a few tones of one colour that bleed into wet paper."""
    size = picture.shape[0]
    dark = 1 - tone(blurred(picture, rng.uniform(1, 2)))
    dark = np.clip(dark + (noise(rng, size, 9) - 0.5) * 0.25, 0, 1)
    steps = np.floor(dark * 4 + 0.3) / 4
    soft = ndimage.gaussian_filter(steps, 0.9)
    edge = ndimage.gaussian_gradient_magnitude(steps, 0.9)
    return _inked(np.clip(soft * 0.9 + edge * 0.7, 0, 1) * grain(rng, size, 0.25, 2)[..., 0], rng, size)


def pastel(picture: Field, rng: Rng) -> Field:
    """Chalk in broad parallel strokes that leave the hollows of a coloured paper free."""
    size = picture.shape[0]
    paper = rng.uniform(0.1, 0.85, 3).astype(np.float32)
    turn = np.full((size, size), rng.uniform(0, np.pi), np.float32) + 0.4 * along_edges(picture, 8.0)
    streaks = _smeared(rng.random((size, size, 1), np.float32), turn, 5, 1.0)[..., 0]
    tooth = noise(rng, size, 1.2)
    cover = np.clip((0.55 * streaks + 0.45 * tooth - rng.uniform(0.25, 0.4)) * 6, 0, 1)[..., None]
    chalk = _vivid(blurred(picture, 1.8), 1.3) * 0.85 + 0.12
    return np.asarray(chalk * cover + paper * (1 - cover), np.float32)


def mosaic(picture: Field, rng: Rng) -> Field:
    """Little stones in grout, each of one colour."""
    numbers, border = cells(rng, picture.shape[0], rng.uniform(5, 9))
    stones = mean_by_cell(picture, numbers)
    uneven = rng.normal(0, 0.06, (int(numbers.max()) + 1, 1)).astype(np.float32)[numbers]
    grout = np.broadcast_to(np.float32(rng.choice([0.12, 0.35, 0.85])), stones.shape)
    stone = np.clip(border - 0.3, 0, 1)[..., None]
    return np.asarray((stones + uneven + 0.06 * np.clip(1.5 - border, -1, 1)[..., None]) * stone + grout * (1 - stone), np.float32)


def stained_glass(picture: Field, rng: Rng) -> Field:
    """Large panes of glowing colour between lines of lead."""
    size = picture.shape[0]
    numbers, border = cells(rng, size, rng.uniform(12, 20))
    panes = _vivid(mean_by_cell(picture, numbers), rng.uniform(1.6, 2.4)) * (0.8 + 0.4 * noise(rng, size, 12)[..., None])
    lead = np.clip(border - rng.uniform(0.5, 1.2), 0, 1)[..., None]
    return np.asarray(panes * lead + 0.04 * (1 - lead), np.float32)


def facets(picture: Field, rng: Rng) -> Field:
    """Flat planes that meet at hard edges, each lit a little differently."""
    numbers, _ = cells(rng, picture.shape[0], rng.uniform(7, 15))
    lit = rng.normal(1, 0.14, (int(numbers.max()) + 1, 1)).astype(np.float32)[numbers]
    return np.asarray(mean_by_cell(picture, numbers) * lit, np.float32)


def woodcut(picture: Field, rng: Rng) -> Field:
    """Two colours, and lines carved along the shapes, thinner where it is bright."""
    size = picture.shape[0]
    turn = along_edges(picture, 6.0)
    streaks = _smeared(rng.random((size, size, 1), np.float32), turn, 10, 1.2)[..., 0]
    low, high = np.percentile(streaks, (3, 97))
    bright = ndimage.gaussian_filter(tone(picture), 1.0)
    ink = np.clip(((streaks - low) / max(high - low, 1e-3) * 0.7 + 0.15 - bright) * 8 + 0.5, 0, 1)
    return _inked(ink, rng, size)


def poster(picture: Field, rng: Rng) -> Field:
    """A few flat colours and black contours."""
    levels = int(rng.integers(3, 6))
    smooth = blurred(ndimage.median_filter(picture, (3, 3, 1)), 1.0)
    flat = np.floor(_vivid(smooth, 1.3) * levels) / (levels - 1)
    edges = ndimage.gaussian_gradient_magnitude(tone(smooth), 1.0)
    line = np.clip((edges - rng.uniform(0.03, 0.06)) * 25, 0, 1)[..., None]
    return np.asarray(np.clip(flat, 0, 1) * (1 - line) + 0.03 * line, np.float32)


def halftone(picture: Field, rng: Rng) -> Field:
    """Dots of cyan, magenta and yellow, each on a screen of its own angle."""
    size = picture.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    period, turn = rng.uniform(3.2, 6.0), rng.uniform(0, np.pi)
    planes = []
    for channel, angle in enumerate((0.26, 1.31, 0.0)):
        u = columns * np.cos(angle + turn) + rows * np.sin(angle + turn)
        v = rows * np.cos(angle + turn) - columns * np.sin(angle + turn)
        screen = 0.5 + 0.25 * (np.cos(2 * np.pi * u / period) + np.cos(2 * np.pi * v / period))
        planes.append(1 - np.clip((1 - blurred(picture, 0.8)[..., channel] - screen) * 5 + 0.5, 0, 1) * 0.92)
    return np.asarray(np.stack(planes, -1) * np.array([1.0, 0.99, 0.93]), np.float32)


def stitches(picture: Field, rng: Rng) -> Field:
    """Crosses of thread on cloth."""
    size = picture.shape[0]
    step = int(rng.integers(4, 7))
    rows, columns = np.mgrid[0:size, 0:size]
    colours = picture[np.minimum(rows // step * step + step // 2, size - 1), np.minimum(columns // step * step + step // 2, size - 1)]
    x, y = columns % step / step, rows % step / step
    first, second = np.abs(x - y), np.abs(x + y - 1 + 1 / step)
    thread = np.clip(1.6 - 6 * np.minimum(first, second), 0, 1)[..., None]
    lit = np.where(first < second, 1.05, 0.85)[..., None]
    return np.asarray(colours * lit * thread + rng.uniform(0.3, 0.95) * (1 - thread) * grain(rng, size, 0.2), np.float32)


MEDIA: Mapping[str, Medium] = {
    medium.__name__: medium
    for medium in (
        oil, swirls, dashes, points, hatching, pencil, stipple, watercolour, wash, pastel, mosaic, stained_glass, facets, woodcut, poster,
        halftone, stitches,
    )
}  # fmt: skip
"""The media by name."""


def painting(picture: Field, rng: Rng) -> tuple[Field, str]:
    """The picture in one medium and in other colours, and the medium's name."""
    name = str(rng.choice(list(MEDIA)))
    return MEDIA[name](recoloured(picture, rng), rng).clip(0, 1).astype(np.float32), name


def recoloured(picture: Field, rng: Rng) -> Field:
    """The same shapes in a palette of the painting's own: colours mixed by a random matrix, tones by a random curve."""
    if rng.random() < 0.25:
        return picture
    mixed = (picture - 0.5) @ (np.eye(3) * 0.5 + rng.normal(0, 0.5, (3, 3))) + 0.5 + rng.normal(0, 0.12, 3)
    return np.asarray(np.clip(mixed, 0.01, 1) ** rng.uniform(0.7, 1.5), np.float32)


def _vivid(colours: Field, saturation: float) -> Field:
    """More of the same hue."""
    grey = (colours @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]
    return np.asarray(np.clip(grey + (colours - grey) * saturation, 0, 1), np.float32)


def _inked(ink: NDArray[np.floating[Any]], rng: Rng, size: int) -> Field:
    """Ink in 0..1 on paper: dark on light, or light on dark."""
    paper = np.clip(rng.uniform(0.78, 1.0) + rng.normal(0, 0.06, 3), 0, 1).astype(np.float32)
    colour = (rng.uniform(0, 0.45, 3) * rng.uniform(0, 1)).astype(np.float32)
    if rng.random() < 0.15:
        paper, colour = colour, paper
    cover = np.clip(ink, 0, 1)[..., None]
    return np.asarray((paper * (1 - cover) + colour * cover) * grain(rng, size, 0.06, 1.5), np.float32)


def _smeared(plane: Field, turn: Field, steps: int, reach: float) -> Field:
    """The mean (S, S, C) along a field of directions, ``steps`` pixels each way (line integral convolution, Cabral and Leedom 1993)."""
    size = plane.shape[0]
    total, dx, dy = plane.copy(), np.cos(turn) * reach, np.sin(turn) * reach
    for sign in (1, -1):
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        for _ in range(steps):
            i, j = y.astype(int) % size, x.astype(int) % size
            x, y = x + sign * dx[i, j], y + sign * dy[i, j]
            total += plane[y.astype(int) % size, x.astype(int) % size]
    return total / np.float32(2 * steps + 1)
