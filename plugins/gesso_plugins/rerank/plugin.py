"""Registers the operation `rerank`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `rerank`."""
    from gesso_plugins.rerank.rerank import Rerank

    return [Rerank()]
