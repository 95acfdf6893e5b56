"""A printed circuit's layout on a grid that wraps: which squares are linked, where pads and chips sit. It draws nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""Headings: right, left, down, up. The link towards heading h is bit 1 << h."""


@dataclass(frozen=True)
class Routes:
    """The layout, arrays of shape (rows, columns)."""

    links: NDArray[np.int32]
    """Bits of the headings in which a trace leaves the square."""
    pads: NDArray[np.bool_]
    chips: NDArray[np.bool_]


def route(rng: np.random.Generator, columns: int, rows: int) -> Routes:
    """Strew chips, then let traces walk at random until they meet another."""
    links = np.zeros((rows, columns), np.int32)
    pads = np.zeros((rows, columns), np.bool_)
    chips = np.zeros((rows, columns), np.bool_)
    for _ in range(max(1, rows * columns // 150)):
        x, y, wide, high = (int(n) for n in rng.integers((0, 0, 2, 2), (columns, rows, 5, 4)))
        chips[np.ix_((y + np.arange(high)) % rows, (x + np.arange(wide)) % columns)] = True
    for _ in range(rows * columns // 9):
        _walk(rng, links, pads)
    return Routes(links, pads, chips)


def _walk(rng: np.random.Generator, links: NDArray[np.int32], pads: NDArray[np.bool_]) -> None:
    """One trace of a few squares with a pad at each end; it turns now and then and stops before it would cross another."""
    rows, columns = links.shape
    x, y, heading, length = (int(n) for n in rng.integers((0, 0, 0, 3), (columns, rows, 4, 10)))
    pads[y, x] = True
    for _ in range(length):
        if rng.random() < 0.22:
            heading = 2 * (1 - heading // 2) + int(rng.integers(2))
        after_x, after_y = (x + STEPS[heading][0]) % columns, (y + STEPS[heading][1]) % rows
        if links[after_y, after_x]:
            break
        links[y, x] |= 1 << heading
        links[after_y, after_x] |= 1 << (heading ^ 1)
        x, y = after_x, after_y
    pads[y, x] = True
