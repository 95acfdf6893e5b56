"""Scorers: what a plugin registers to say how good pictures are. It combines no scores: `gesso.plugin.ranking` does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gesso.plugin.context import JobContext


@dataclass(frozen=True)
class ScoreContext:
    """What a scorer is asked about. Fields may be added, never removed.

    job: models, warnings. pictures: uint8 (H, W, 3) sRGB, several at once so that a model sees them in one forward. prompt: the words that
    they were made from, perhaps empty. tile: the axes along which they are meant to wrap around. progress: 1 for finished pictures; less
    where they are previews of pictures at this fraction of their run. options: the owner's settings of the plugin.
    """

    job: JobContext
    pictures: Sequence[npt.NDArray[np.uint8]]
    prompt: str = ""
    tile: str = "none"
    progress: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


ScoreFunction = Callable[[ScoreContext], Generator[Any, Any, Sequence[float]]]
"""A generator that may yield calls and returns one number for each picture, higher is better, between about 0 and 1."""


@dataclass(frozen=True)
class ScorerSpec:
    """A scorer and what a list of scorers says of it. ``prompted``: it needs words to compare the picture with."""

    name: str
    function: ScoreFunction
    title: str
    paper: str
    prompted: bool = False
    aliases: tuple[str, ...] = ()


def scorer(
    name: str, *, title: str, paper: str, prompted: bool = False, aliases: Sequence[str] = ()
) -> Callable[[ScoreFunction], ScorerSpec]:
    """Turn a generator function of a `ScoreContext` into a `ScorerSpec`."""

    def wrap(function: ScoreFunction) -> ScorerSpec:
        return ScorerSpec(name, function, title, paper, prompted, tuple(aliases))

    return wrap
