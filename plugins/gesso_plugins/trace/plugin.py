"""Registers the operation `trace`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `trace`."""
    from gesso_plugins.trace.trace import Trace

    return [Trace()]
