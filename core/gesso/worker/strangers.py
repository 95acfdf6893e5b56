"""The owner's plugins in a worker: imported one by one beside the first-party ones, each under a time limit and a mark that outlives the
process, so that one which ends the worker is found out and turned off.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gesso.errors import PluginError
from gesso.plugin import Registry, add_stranger
from gesso.strangers import Shelf, Stranger
from gesso.worker.settings import plugin_options

_log = logging.getLogger(__name__)
IMPORT_LIMIT = 120.0
"""Seconds after which a worker that still imports one plugin ends itself; what remains of its jobs is run by the next."""


class Strangers:
    """``base`` has the first-party plugins; it is never changed, so that jobs which began with another registry go on with theirs."""

    def __init__(self, base: Registry, folder: Path | None, config: Path | None = None) -> None:
        self.notices: tuple[str, ...] = ()
        self._base = base
        self._config = config
        self._shelf = None if folder is None else Shelf(folder)
        self._imported: dict[str, str] = {}

    def registry(self) -> Registry:
        """The first-party plugins and those of the owner that are on now."""
        registry = self._base.copy()
        self.notices = ()
        options = self._options(registry)
        if self._shelf is None or not self._shelf.state_file.exists():
            return registry
        try:
            self._shelf.judge()
            found, notices = self._shelf.usable()
        except (PluginError, OSError) as fault:
            self.notices = (*self.notices, str(fault))
            return registry
        for stranger in found:
            self._forget_older(stranger)
            with self._shelf.importing(stranger.entry.name), _limited(stranger.entry.name):
                state = add_stranger(registry, stranger, options=options.get(stranger.entry.name))
            for wrong in state.faults:
                _log.error("%s %s", wrong.message, wrong.traceback)
        self.notices = (*self.notices, *notices)
        return registry

    @contextlib.contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """Around what a plugin does when the worker starts: a process that ends in it leaves a strike against a plugin of the owner's."""
        if self._shelf is None or name not in self._imported:
            yield
            return
        with self._shelf.importing(name):
            yield

    def _options(self, registry: Registry) -> dict[str, Mapping[str, Any]]:
        """The owner's settings by plugin, as they stand in config.toml now."""
        try:
            options = plugin_options(self._config)
        except PluginError as fault:
            self.notices = (fault.message,)
            return {}
        for plugin in registry.options:
            registry.options[plugin] = options.get(plugin, {})
        return options

    def _forget_older(self, stranger: Stranger) -> None:
        """Modules of a distribution that was upgraded since it was imported make room for the new ones."""
        name, top = stranger.entry.name, stranger.entry.module.partition(".")[0]
        before = self._imported.get(name)
        self._imported[name] = stranger.sha256
        if stranger.code is None and before not in (None, stranger.sha256):
            importlib.invalidate_caches()
            for module in [module for module in sys.modules if module == top or module.startswith(f"{top}.")]:
                del sys.modules[module]


@contextlib.contextmanager
def _limited(name: str) -> Iterator[None]:
    def end() -> None:
        _log.error("the plugin %s was not imported within %g seconds: the worker ends", name, IMPORT_LIMIT)
        logging.shutdown()
        os._exit(3)

    timer = threading.Timer(IMPORT_LIMIT, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
