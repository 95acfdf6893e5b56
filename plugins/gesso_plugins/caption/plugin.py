"""Registers the operation `caption`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `caption`."""
    from gesso_plugins.caption.caption import Caption

    return [Caption()]
