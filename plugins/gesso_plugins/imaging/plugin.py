"""Registers the operation `generate`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl
from gesso_plugins.imaging.generate import Generate


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The neutral operation `generate`."""
    return [Generate()]
