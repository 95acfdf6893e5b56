"""Registers the family `procedural`, and its renders as a source of training pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gesso.plugin import CaptionedSource, hookimpl

if TYPE_CHECKING:
    from gesso.model import Family


@hookimpl
def gesso_families() -> Iterable[Family]:
    """The renderer as a model."""
    from .family import ProceduralFamily

    return [ProceduralFamily()]


@hookimpl
def gesso_datasets() -> Iterable[CaptionedSource]:
    """Captioned renders without end."""
    from .dataset import ProceduralSource

    return [ProceduralSource()]
