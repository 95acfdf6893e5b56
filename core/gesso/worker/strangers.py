"""The owner's plugins in a worker: imported one by one beside the first-party ones, each under a time limit and a mark that outlives the
process, so that one which ends the worker is found out and turned off. Isolated ones are imported in processes of their own.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gesso.errors import PluginError
from gesso.isolation.proxies import register
from gesso.isolation.server import Server
from gesso.plugin import PluginState, Registry, add_stranger
from gesso.strangers import Shelf, Stranger
from gesso.worker.settings import plugin_options

_log = logging.getLogger(__name__)
IMPORT_LIMIT = 120.0
"""Seconds after which a worker that still imports one plugin ends itself; what remains of its jobs is run by the next."""
_Key = tuple[str, str, Path, str]
"""An isolated plugin as it is now: name, content, environment, the owner's settings."""


class Strangers:
    """``base`` has the first-party plugins; it is never changed, so that jobs which began with another registry go on with theirs."""

    def __init__(self, base: Registry, folder: Path | None, config: Path | None = None, threads: int = 1) -> None:
        self.notices: tuple[str, ...] = ()
        self._threads = threads
        self._servers: dict[_Key, Server] = {}
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
        said = []
        before, self._servers = self._servers, {}
        for stranger in found:
            try:
                given = options.get(stranger.entry.name, {})
                state = self._isolated(registry, stranger, given, before) if stranger.environment else self._own(registry, stranger, given)
            except PluginError as fault:
                said.append(fault.message)
                continue
            for wrong in state.faults:
                _log.error("%s %s", wrong.message, wrong.traceback)
        self.notices = (*self.notices, *notices, *said)
        return registry

    def _own(self, registry: Registry, stranger: Stranger, options: Mapping[str, Any]) -> PluginState:
        assert self._shelf is not None
        self._forget_older(stranger)
        with self._shelf.risking(stranger.entry.name, "imported"), _limited(stranger.entry.name):
            return add_stranger(registry, stranger, options=options)

    def _isolated(self, registry: Registry, stranger: Stranger, options: Mapping[str, Any], before: Mapping[_Key, Server]) -> PluginState:
        """Its process is started and goes on by itself; one that has the same content and settings as before is kept."""
        assert self._shelf is not None
        assert stranger.environment is not None
        name = stranger.entry.name
        settings = json.dumps(options, sort_keys=True, default=str)
        key = (name, stranger.sha256, stranger.environment, settings)
        try:
            document = json.loads(self._shelf.compiled(name).read_bytes())
        except (OSError, ValueError) as fault:
            raise PluginError(f"The compiled file of the plugin {name!r} cannot be read: {fault}.", details={"plugin": name}) from fault
        server = self._servers[key] = before.get(key) or Server(
            name, self._shelf.folder, stranger.environment, self._threads, json.loads(settings)
        )
        server.start()
        registry.options[name] = options
        return register(registry, stranger, document, server)

    @contextlib.contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """Around what a plugin does when the worker starts: a process that ends in it leaves a strike against a plugin of the owner's."""
        if self._shelf is None or name not in self._imported:
            yield
            return
        with self._shelf.risking(name, "started"):
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
