"""Registers the family `unclip`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gesso.plugin import hookimpl

if TYPE_CHECKING:
    from gesso.model import Family


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Directories in Karlo's format."""
    from gesso_plugins.unclip.family import UnclipFamily

    return [UnclipFamily()]
