"""Registers the model family that marks what words name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gesso.plugin import hookimpl

if TYPE_CHECKING:
    from gesso.model import Family


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Directories of CLIPSeg models."""
    from gesso_plugins.segment.family import ClipSegFamily

    return [ClipSegFamily()]
