"""Makes the registry: imports each declared plugin by itself, verifies its hooks, and records what is wrong. One broken plugin never
stops the others, and there is no manager but the one made here.
"""

from __future__ import annotations

import copy
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pluggy

from gesso.manifest import Manifest, ModelEntry, PluginEntry
from gesso.plugin import hookspecs, kinds, single
from gesso.plugin.context import PluginContext
from gesso.plugin.kinds import Kind, said
from gesso.plugin.names import Catalogue
from gesso.plugin.registry import Fault, PluginState, Registry
from gesso.strangers import Stranger

TRACE_VARIABLE = "GESSO_TRACE_PLUGINS"


def build_plugins(manifest: Manifest, options: Mapping[str, Mapping[str, Any]] | None = None) -> Registry:
    """Import and register every plugin of the manifest. ``options``: plugin name -> its part of the owner's configuration."""
    manager = _manager()
    registry = Registry(manifest)
    for entry in manifest.plugins:
        plugin = _Registering(entry, registry)
        plugin.register(manager, manifest, dict((options or {}).get(entry.name, {})), partial(importlib.import_module, entry.module))
    return registry


def add_stranger(registry: Registry, stranger: Stranger, *, declared: bool = True, options: Mapping[str, Any] | None = None) -> PluginState:
    """Import and register a plugin that its owner enabled, into this registry: what it calls x is called ``plugin.x`` for everybody else.

    ``declared`` False: whatever it registers is accepted as declared, which is how a single file is looked at for the first time.
    ``options``: its part of the owner's configuration.
    """
    manager = _manager()
    entry = stranger.entry
    manifest = Manifest(str(stranger.origin or entry.module), "", (entry,), stranger.models)
    plugin = _Registering(entry, registry, namespace=f"{entry.name}.", declared=declared)
    plugin.register(manager, manifest, dict(options or {}), partial(single.imported, stranger))
    state = registry.plugins[-1]
    if state.usable:
        registry.models = (*registry.models, *(_of_plugin(model, entry) for model in stranger.models))
    return state


def _of_plugin(model: ModelEntry, entry: PluginEntry) -> ModelEntry:
    """A stranger's model under the plugin's name; its family is the plugin's own where it provides one of that name."""
    own = model.family in entry.provides.get("families", ())
    return replace(model, name=f"{entry.name}.{model.name}", family=f"{entry.name}.{model.family}" if own else model.family)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("gesso")
    manager.add_hookspecs(hookspecs)
    if os.environ.get(TRACE_VARIABLE):
        _trace(manager)
    return manager


def _trace(manager: pluggy.PluginManager) -> None:
    """Print each hook call that a plugin answers: the hook, its implementers, what came back, the time."""
    started: list[float] = []

    def before(_hook: str, _implementers: object, _arguments: object) -> None:
        started.append(time.perf_counter())

    def after(outcome: pluggy.Result[Any], hook: str, implementers: Sequence[pluggy.HookImpl], _arguments: Mapping[str, Any]) -> None:
        spent = (time.perf_counter() - started.pop()) * 1000
        if implementers:
            names = ", ".join(implementer.plugin_name for implementer in implementers)
            said = _came_back(outcome)
            print(f"gesso: {hook}: {names}: {said} in {spent:.1f} ms", file=sys.stderr, flush=True)

    manager.add_hookcall_monitoring(before, after)


def _came_back(outcome: pluggy.Result[Any]) -> str:
    if outcome.exception is not None:
        return type(outcome.exception).__name__
    return str(sum(len(batch) if hasattr(batch, "__len__") else 1 for batch in outcome.get_result()))


class _Registering:
    """One plugin while it is imported and registers."""

    def __init__(self, entry: PluginEntry, registry: Registry, *, namespace: str = "", declared: bool = True) -> None:
        self._entry = entry
        self._registry = registry
        self._namespace = namespace
        self._declared = declared
        self._faults: list[Fault] = []
        self._registered: dict[str, list[str]] = {}

    def register(self, manager: pluggy.PluginManager, manifest: Manifest, options: Mapping[str, Any], load: Callable[[], object]) -> None:
        """The whole way of a plugin into the registry."""
        self._registry.options[self._entry.name] = options
        module = self._imported(manager, load)
        if module is not None:
            self._call_hooks(manager, module, PluginContext(self._entry.name, manifest, options))
            if self._declared:
                self._compare_with_declared()
        self._registry.plugins.append(self._state())

    def _imported(self, manager: pluggy.PluginManager, load: Callable[[], object]) -> object | None:
        """The plugin's module, its hooks verified; None where it failed."""
        try:
            module = load()
        except (Exception, SystemExit) as fault:
            self._fail("", f"could not be imported: {said(fault)}", fault)
            return None
        try:
            manager.register(module, name=self._entry.name)
            manager.check_pending()
        except (ValueError, pluggy.PluginValidationError) as fault:
            if manager.has_plugin(self._entry.name):
                manager.unregister(module)
            self._fail("", f"has a hook that Gesso cannot call: {said(fault)}", fault)
            return None
        return module

    def _call_hooks(self, manager: pluggy.PluginManager, module: object, ctx: PluginContext) -> None:
        """Call each hook of this plugin alone, so that a fault has one culprit."""
        others = [plugin for plugin in manager.get_plugins() if plugin is not module]
        for kind in kinds.ALL:
            try:
                things = [thing for batch in manager.subset_hook_caller(kind.hook, others)(ctx=ctx) for thing in _listed(batch)]
            except (Exception, SystemExit) as fault:
                self._fail(kind.hook, f"failed in the hook {kind.hook}: {said(fault)}", fault)
                continue
            if kind.spec is not None and self._namespace and not hasattr(module, kind.hook):
                things = single.bare_specs(module, kind.spec)
            for thing in things:
                self._enter(kind, thing)

    def _enter(self, kind: Kind, thing: Any) -> None:
        name = getattr(thing, "name", None)
        if not isinstance(name, str) or not name:
            self._fail(kind.hook, f"registered {thing!r} in {kind.hook}, which has no name")
            return
        wrong = kind.check(thing)
        if wrong:
            self._fail(kind.hook, f"registered {name!r} in {kind.hook}, which {wrong}")
        elif self._declared and name not in self._entry.provides.get(kind.provides, ()):
            self._fail(kind.hook, f"registered {name!r} in {kind.hook}, but does not declare it under provides.{kind.provides}")
        else:
            self._add(kind, name, _renamed(thing, self._namespace) if self._namespace else thing)

    def _add(self, kind: Kind, name: str, thing: Any) -> None:
        catalogue: Catalogue[Any] = getattr(self._registry, kind.provides)
        if taken := catalogue.taken((thing.name, *kind.aliases(thing))):
            self._fail(kind.hook, f"registered {name!r} in {kind.hook}, but {taken}")
        else:
            catalogue.add(thing.name, thing, self._entry.name, kind.aliases(thing))
            self._registered.setdefault(kind.provides, []).append(name)

    def _compare_with_declared(self) -> None:
        """What is declared but was not registered is a fault too: lists would show what is not there."""
        failed = {fault.hook for fault in self._faults}
        for kind in kinds.ALL:
            declared = self._entry.provides.get(kind.provides, ())
            missing = [name for name in declared if name not in self._registered.get(kind.provides, [])]
            if missing and kind.hook not in failed:
                self._fail(kind.hook, f"declares {', '.join(missing)} under provides.{kind.provides}, but did not register it")

    def _state(self) -> PluginState:
        return PluginState(self._entry, {kind: tuple(names) for kind, names in self._registered.items()}, tuple(self._faults))

    def _fail(self, hook: str, what: str, cause: BaseException | None = None) -> None:
        trace = "" if cause is None else "".join(traceback.format_exception(cause))
        self._faults.append(Fault(self._entry.name, hook, f"The plugin {self._entry.name!r} {what}.", trace))


def _renamed(thing: Any, namespace: str) -> Any:
    """The same thing under the plugin's name."""
    if isinstance(thing, kinds.SPECS):
        named = {"aliases": tuple(namespace + alias for alias in thing.aliases)} if hasattr(thing, "aliases") else {}
        return replace(thing, name=namespace + thing.name, **named)  # type: ignore[arg-type]
    made = copy.copy(thing)
    object.__setattr__(made, "name", namespace + thing.name)
    return made


def _listed(batch: object) -> Iterable[Any]:
    if isinstance(batch, str) or not isinstance(batch, Iterable):
        raise TypeError(f"it returned {type(batch).__name__} where a list was expected")
    return list(batch)
