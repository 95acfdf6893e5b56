"""Registers the scorers of pixels. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from collections.abc import Iterable

from gesso.plugin import ScorerSpec, hookimpl
from gesso_plugins.scoring.seam import seam
from gesso_plugins.scoring.sharpness import sharpness


@hookimpl
def gesso_scorers() -> Iterable[ScorerSpec]:
    """Sharpness and seam."""
    return [sharpness, seam]
