"""Finds the function behind a command that a plugin added. The plugin is imported here and now, in this process, and only when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from gesso.errors import PluginError


def function(name: str, target: str) -> Callable[[Sequence[str]], int]:
    """``target`` is ``module:function``. What is called ``plugin.name`` is a stranger's: it must be on, and be what was enabled."""
    module, _, attribute = target.partition(":")
    plugin, dot, _ = name.partition(".")
    found = _of_stranger(plugin) if dot else importlib.import_module(module)
    run: Callable[[Sequence[str]], int] | None = getattr(found, attribute, None)
    if run is None:
        raise PluginError(
            f"The command {name!r} has no function {target}.", hint="Run `gesso plugins compile`, or enable the plugin again."
        )
    return run


def _of_stranger(plugin: str) -> object:
    from gesso.plugin.single import imported
    from gesso.strangers import Shelf
    from gesso.wire.home import Home

    shelf = Shelf(Home.find().plugins)
    standing = shelf.standing(shelf.records()[plugin])
    stranger = shelf.stranger(standing) if standing.on else None
    if stranger is None:
        raise PluginError(standing.notice or f"The plugin {plugin!r} is off.", hint=f"`gesso plugins enable {plugin}` turns it on.")
    return imported(stranger)
