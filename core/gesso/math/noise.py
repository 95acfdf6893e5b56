"""Noise as an argument: every random number of an image comes from its seed, drawn on the CPU generator in float32, so that the same
seed gives the same noise on every device. Nothing here touches torch's global generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

_PLACES = 1 << 18
"""Leaves of the virtual Brownian tree: noise levels are told apart to 2**-18 of the interval."""


def _draw(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)


def seed_of(seed: int, *path: object) -> int:
    """A 64-bit seed for one draw, named by the image's seed and by what the draw is for."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def initial_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Unit noise (float32, CPU) to start an image from: ``torch.randn`` on a CPU generator seeded with ``seed``, as in the peers."""
    return _draw(shape, seed)


def uniform(count: int, seed: int) -> Tensor:
    """So many even numbers in 0..1 (float64, CPU, never 1) of an image, to draw tokens by."""
    return torch.rand(count, generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float64)


class NoiseSource(Protocol):
    """The noise of one image, as a sampler sees it. Each reply is shaped like x and has unit variance."""

    @property
    def seed(self) -> int:
        """The seed of the image."""
        ...

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        """Fresh noise for a step between two levels, independent of all that was drawn before."""
        ...

    def brownian(self, sigma: float, sigma_next: float) -> Tensor:
        """The normalised increment of the image's one Brownian path between two levels: disjoint intervals are independent, nested ones
        are not, and any number of steps sees the same path.
        """
        ...


class Noise:
    """The `NoiseSource` of an image with this shape and seed; replies come on ``device`` in ``dtype``.

    Fresh noise is a sequence (the n-th draw depends on seed and n). The Brownian path is a virtual tree: a node's value depends only
    on the seed and on its place, so no query changes another (Gaines and Lyons 1997; Li et al. 2020, section 4, "virtual Brownian tree").
    """

    def __init__(self, shape: Sequence[int], seed: int, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self._shape = tuple(shape)
        self._seed = seed
        self._device = torch.device(device)
        self._dtype = dtype
        self._drawn = 0
        self._path: dict[int, Tensor] = {}

    @staticmethod
    def like(x: Tensor, seed: int) -> Noise:
        """Noise with the shape, device and dtype of ``x``."""
        return Noise(x.shape, seed, device=x.device, dtype=x.dtype)

    @property
    def seed(self) -> int:
        """The seed of the image."""
        return self._seed

    def state(self) -> dict[str, Any]:
        """All that the next draws depend on, as JSON."""
        return {
            "shape": list(self._shape),
            "seed": self._seed,
            "device": str(self._device),
            "dtype": str(self._dtype).removeprefix("torch."),
            "drawn": self._drawn,
        }

    @staticmethod
    def restored(state: Mapping[str, Any]) -> Noise:
        """The noise that `state` was taken of, in this process; it draws on from there."""
        dtype = getattr(torch, state["dtype"])
        noise = Noise(state["shape"], state["seed"], device=state["device"], dtype=dtype)
        noise._drawn = state["drawn"]
        return noise

    def follow(self, state: Mapping[str, Any]) -> None:
        """Go on from where noise that was `restored` elsewhere has come to."""
        self._drawn = state["drawn"]

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:  # noqa: ARG002 (the protocol names the step; fresh noise ignores it)
        """Fresh noise, independent of all that was drawn before."""
        self._drawn += 1
        return _draw(self._shape, seed_of(self._seed, "step", self._drawn)).to(self._device, self._dtype)

    def brownian(self, sigma: float, sigma_next: float) -> Tensor:
        """``(W(u') - W(u)) / sqrt(|u' - u|)`` at u = sigma / (1 + sigma), which maps all noise levels into 0..1."""
        start, end = _place(sigma), _place(sigma_next)
        if start == end:
            start, end = (start, start + 1) if start < _PLACES else (start - 1, start)
        values = {place: self._path[place] if place in self._path else self._value(place) for place in (start, end)}
        self._path = values
        increment: Tensor = (values[end] - values[start]) / (abs(end - start) / _PLACES) ** 0.5
        return increment.to(self._device, self._dtype)

    def _value(self, place: int) -> Tensor:
        """W at ``place / _PLACES``, by bisection: a midpoint is the mean of its ends plus noise of variance length / 4."""
        low, high = 0, _PLACES
        left, right = torch.zeros(self._shape), _draw(self._shape, seed_of(self._seed, "path", high))
        while place not in {low, high}:
            middle = (low + high) // 2
            deviation = 0.5 * ((high - low) / _PLACES) ** 0.5
            value = 0.5 * (left + right) + deviation * _draw(self._shape, seed_of(self._seed, "path", middle))
            if place < middle:
                high, right = middle, value
            else:
                low, left = middle, value
        return left if place == low else right


def _place(sigma: float) -> int:
    return round(sigma / (1 + sigma) * _PLACES)
