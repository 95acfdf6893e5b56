"""Registers the operation `embed`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `embed`."""
    from gesso_plugins.embed.embed import Embedding

    return [Embedding()]
