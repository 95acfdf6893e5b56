"""Registers the operation `edit`. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl
from gesso_plugins.edit.edit import Edit


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `edit`."""
    return [Edit()]
