"""Registers the operations that change pictures. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, hookimpl
from gesso_plugins.edit.cutout import Cutout
from gesso_plugins.edit.edit import Edit
from gesso_plugins.edit.redo import Instruct, Vary


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """Part of a picture by a mask, the whole of it freely, the whole of it by words, and what a mask covers alone."""
    return [Edit(), Vary(), Instruct(), Cutout()]
