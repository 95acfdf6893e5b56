"""Registers the filters. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from collections.abc import Iterable

from gesso.plugin import FilterSpec, hookimpl
from gesso_plugins.filters.blocked_words import blocked_words
from gesso_plugins.filters.private import private


@hookimpl
def gesso_filters() -> Iterable[FilterSpec]:
    """One before generation, one after."""
    return [blocked_words, private]
