"""Registers the styles."""

from __future__ import annotations

from collections.abc import Iterable

from gesso.plugin import StyleSpec, hookimpl
from gesso_plugins.styles.presets import PRESETS


@hookimpl
def gesso_styles() -> Iterable[StyleSpec]:
    """All styles of this plugin."""
    return PRESETS
