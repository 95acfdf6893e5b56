"""Upscalers: what a plugin registers to make a picture larger. They know neither files nor alpha; the operation `upscale` does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gesso.plugin.context import JobContext


@dataclass(frozen=True)
class UpscaleContext:
    """One picture to be made larger. Fields may be added, never removed.

    pixels: float32 (H, W, C) in 0..1; C is 3, or 1 for a mask or an alpha. scale: how many times wider and higher. tile: the axes along
    which the picture wraps around; its margins are prepared for that already, and an upscaler may make use of it. options: the owner's
    settings of the plugin. settings: what the request says for upscalers with a model: prompt, negative, model, strength, steps, guidance,
    sampler, schedule, seed, window; complete, but for the window, which may be None.
    """

    job: JobContext
    pixels: npt.NDArray[np.float32]
    scale: int
    tile: str = "none"
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


UpscaleFunction = Callable[[UpscaleContext], Generator[Any, Any, Any]]
"""A generator that may yield calls and returns float32 (H * scale, W * scale, C); values outside 0..1 are cut off."""


@dataclass(frozen=True)
class UpscalerSpec:
    """An upscaler and what a list of upscalers says of it. ``margin``: pixels around a place that change what it makes there; 0 for one
    that goes on across the border itself. ``capability``: what the model must have that it paints with; "" where it takes none.
    """

    name: str
    function: UpscaleFunction
    title: str
    paper: str
    margin: int = 8
    aliases: tuple[str, ...] = ()
    capability: str = ""


def upscaler(
    name: str, *, title: str, paper: str, margin: int = 8, aliases: Sequence[str] = (), capability: str = ""
) -> Callable[[UpscaleFunction], UpscalerSpec]:
    """Turn a generator function of an `UpscaleContext` into an `UpscalerSpec`."""

    def wrap(function: UpscaleFunction) -> UpscalerSpec:
        return UpscalerSpec(name, function, title, paper, margin, tuple(aliases), capability)

    return wrap
