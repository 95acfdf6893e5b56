"""Scores pictures by how colourful they are."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gesso.engine import All, Host
from gesso.plugin import PluginContext, ScoreContext, ScorerSpec, hookimpl, scorer


@scorer("vivid", title="Vivid", paper="Hasler & Süsstrunk 2003, colourfulness")
def vivid(ctx: ScoreContext) -> Generator[Any, Any, Sequence[float]]:
    """One number a picture, higher is better, between 0 and 1; the arithmetic runs on the thread pool."""
    return list((yield All(*(Host(colourful, (picture,)) for picture in ctx.pictures))))


def colourful(picture: npt.NDArray[np.uint8]) -> float:
    """How far the colours are spread over red against green and yellow against blue; 0 for greys, near 1 for the most vivid."""
    red, green, blue = np.moveaxis(picture.astype(np.float64), -1, 0)
    axes = np.stack([red - green, (red + green) / 2 - blue])
    spread = np.hypot(*axes.std(axis=(1, 2))) + 0.3 * np.hypot(*axes.mean(axis=(1, 2)))
    return float(spread / (spread + 60))


@hookimpl
def gesso_scorers(ctx: PluginContext) -> Iterable[ScorerSpec]:
    """What this plugin adds to the list of scorers."""
    return [vivid]
