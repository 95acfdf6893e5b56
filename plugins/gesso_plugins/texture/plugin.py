"""Registers the operation `texture`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl
from gesso_plugins.texture.texture import Texture


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `texture`."""
    return [Texture()]
