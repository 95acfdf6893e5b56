"""Previews: what a plugin registers to draw a latent as a small picture while it is being made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from gesso.model import Model

Draw = Callable[["Tensor"], "npt.NDArray[np.uint8]"]
"""Latent (1, C, h, w) -> uint8 (H, W, 3); runs on a thread, off the path of the samplers, and may take a few milliseconds."""


@dataclass(frozen=True)
class PreviewContext:
    """The loaded model whose latents are to be drawn; it may be used now, not later. Fields may be added, never removed."""

    model: Model
    options: Mapping[str, Any] = field(default_factory=dict)


PreviewFunction = Callable[[PreviewContext], "Draw | None"]
"""Called once for each model: how to draw its latents, or None where it cannot."""


@dataclass(frozen=True)
class PreviewSpec:
    """A way to draw latents. Of those that can draw a model's, the one with the lowest ``order`` does."""

    name: str
    function: PreviewFunction
    title: str
    order: int = 50
    aliases: tuple[str, ...] = ()


def preview(name: str, *, title: str, order: int = 50, aliases: Sequence[str] = ()) -> Callable[[PreviewFunction], PreviewSpec]:
    """Turn a function of a `PreviewContext` into a `PreviewSpec`."""

    def wrap(function: PreviewFunction) -> PreviewSpec:
        return PreviewSpec(name, function, title, order, tuple(aliases))

    return wrap
