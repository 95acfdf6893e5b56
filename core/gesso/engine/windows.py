"""A picture larger than a model can make, in overlapping windows that are blended at every step (Bar-Tal et al. 2023, arXiv 2302.08113,
MultiDiffusion). No window is sampled by itself, and the windows move from step to step, so that none of their edges shows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from gesso.engine.calls import All, Call, Denoised
from gesso.engine.drive import Denoiser

Place: TypeAlias = tuple[Tensor, Tensor]
"""Rows and columns of one window."""
GOLDEN = ((5**0.5 - 1) / 2, 2**0.5 - 1)
"""Steps, as fractions of a stride, that the windows move by: multiples of these never repeat, and never both at once."""
LEAST = 1e-3
"""Weight of a window's outermost places, which no other window may cover."""
AUTOENCODED = 768
"""Pixels a side that an autoencoder is given at least: it has no favourite size, and its windows stand still."""
MARGIN = 8
"""Places along the edges of its windows, at most a twelfth of the side, that count for nothing: there it sees its padding."""


@dataclass(frozen=True)
class Windows:
    """Square windows over (height, width) places. ``wraps``: whether x and y wrap around; ``closed``: whether the model itself
    closes them in a window of their whole length. ``margin``: places along a window's edges whose answers count for nothing.
    """

    height: int
    width: int
    side: int
    wraps: tuple[bool, bool] = (False, False)
    closed: tuple[bool, bool] = (True, True)
    margin: int = 0

    def autoencoding(self, factor: int) -> Windows:
        """The windows in which an autoencoder, whose pixels are so much finer, sees the same."""
        side = max(self.side, AUTOENCODED // factor)
        return replace(self, side=side, closed=(self.width <= self.side, self.height <= self.side), margin=min(MARGIN, side // 12))

    @property
    def stride(self) -> int:
        """Neighbouring windows share a quarter of their side, or what fades between two margins that are as wide together."""
        return max(1, self.side - max(self.side // 4, 4 * self.margin))

    def places(self, step: int = 0) -> list[Place]:
        """The windows of a step: they cover every place, and lie elsewhere at every step."""
        move_x, move_y = (int(self.stride * (step * share % 1.0)) for share in GOLDEN)
        rows = list(self._spans(self.height, self.wraps[1], self.closed[1], move_y))
        columns = list(self._spans(self.width, self.wraps[0], self.closed[0], move_x))
        return [(down, across) for down in rows for across in columns]

    def _spans(self, length: int, wraps: bool, closed: bool, move: int) -> Iterator[Tensor]:
        side = min(self.side, length)
        if wraps:
            count = (1 if closed else 2) if side == length else -(-length // self.stride)
            starts = [move + round(i * length / count) for i in range(count)]
        else:
            starts = sorted({min(max(at, 0), length - side) for at in range(-move, length, self.stride)})
        for start in starts:
            yield torch.arange(start, start + side) % length

    def joined(self, places: list[Place], parts: list[Tensor], scale: int = 1) -> Tensor:
        """The weighted mean of all windows; each part (1, C, rows, columns) is ``scale`` times as fine as the places."""
        first = parts[0]
        total = first.new_zeros(1, first.shape[1], self.height * scale, self.width * scale)
        weights = first.new_zeros(1, 1, *total.shape[-2:])
        for place, part in zip(places, parts, strict=True):
            rows, columns = (_finer(along, scale) for along in place)
            down, across = (
                self._weights(place[0], self.height, self.wraps[1], scale),
                self._weights(place[1], self.width, self.wraps[0], scale),
            )
            weight = (down[:, None] * across[None, :]).to(first)
            at = (slice(None), slice(None), rows[:, None], columns[None, :])
            total[at] += part * weight
            weights[at] += weight
        return total / weights

    def _weights(self, along: Tensor, length: int, wraps: bool, scale: int) -> Tensor:
        """How much each answer of a window counts. It rises from the edges to the middle; with margins it rises beyond them, and is 1 at
        the picture's own border, where no other window knows better.
        """
        count = len(along) * scale
        middles = torch.arange(count, dtype=torch.float64) + 0.5
        if not self.margin:
            return _risen(middles / count * 2, 2).clamp(min=LEAST)
        edge = scale * min(self.margin, len(along) // 8)
        low, high = (_risen((away - edge) / max(2 * edge, 1), 1) for away in (middles, count - middles))
        if not wraps:
            low = torch.ones_like(low) if int(along[0]) == 0 else low
            high = torch.ones_like(high) if int(along[-1]) == length - 1 else high
        return (low * high).clamp(min=LEAST)


def in_windows(windows: Windows, make: Callable[[Tensor], Call], whole: Tensor, scale: int = 1) -> Generator[Any, Any, Tensor]:
    """A call for each window of ``whole`` (1, C, height, width), and their answers as one. ``scale``: how much finer the answers are;
    encoders, whose answers are coarser, are given windows over these, and ``whole`` is then finer: ``scale`` is below 0.
    """
    places = windows.places()
    fine, coarse = max(scale, 1), max(-scale, 1)
    parts = yield All(*(make(_cut(whole, tuple(_finer(along, coarse) for along in place))) for place in places))
    return windows.joined(places, list(parts), fine)


def windowed(denoiser: Denoiser, windows: Windows) -> Denoiser:
    """A denoiser for the whole, of one for a window."""
    step = -1

    def whole(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        nonlocal step
        step += 1
        places = windows.places(step)
        found = yield All(*(denoiser(_cut(x, place), sigma) for place in places))
        return Denoised(windows.joined(places, [each.denoised for each in found]), windows.joined(places, [each.uncond for each in found]))

    return whole


def _cut(whole: Tensor, place: tuple[Tensor, ...]) -> Tensor:
    rows, columns = place
    return whole[:, :, rows[:, None], columns[None, :]]


def _finer(places: Tensor, scale: int) -> Tensor:
    return (places[:, None] * scale + torch.arange(scale)).reshape(-1)


def _risen(share: Tensor, most: int) -> Tensor:
    """A smooth way up from 0 to 1 at 1, and down again to 0 at 2 where it goes so far."""
    return torch.sin(torch.pi / 2 * share.clamp(0, most)) ** 2
