"""Judges, as a protocol: who names what pictures of one dataset show, so that what a model makes of its captions can be held to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class FixedPrompt:
    """One picture to be made: its words, its seed, and what it must show, by label."""

    words: str
    seed: int
    labels: Mapping[str, str]


class Judge(Protocol):
    """Knows a dataset by heart, and no model that is judged by it. Weights are read when they are first needed."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def dataset(self) -> str:
        """The dataset whose labels it names."""
        ...

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """What it tells apart, by the dataset's label, such as ``material``."""
        ...

    @property
    def smallest(self) -> int:
        """Pixels a side below which it sees too little to say anything."""
        ...

    @property
    def prompts(self) -> Sequence[FixedPrompt]:
        """By which models are held to a bar: fixed before any of them was there."""
        ...

    def judge(self, images: npt.NDArray[np.uint8]) -> Sequence[Mapping[str, str]]:
        """Of pictures (N, S, S, 3), sRGB: what each shows, by label."""
        ...
