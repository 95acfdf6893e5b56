"""Makes the registry: imports each declared plugin by itself, verifies its hooks, and records what is wrong. One broken plugin never
stops the others, and there is no manager but the one made here.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy

from gesso.manifest import Manifest, PluginEntry
from gesso.plugin import hookspecs
from gesso.plugin.context import PluginContext
from gesso.plugin.names import Catalogue
from gesso.plugin.registry import Fault, PluginState, Registry
from gesso.plugin.specs import OperationParams, SamplerSpec, ScheduleSpec

TRACE_VARIABLE = "GESSO_TRACE_PLUGINS"


def build_plugins(manifest: Manifest, options: Mapping[str, Mapping[str, Any]] | None = None) -> Registry:
    """Import and register every plugin of the manifest. ``options``: plugin name -> its part of the owner's configuration."""
    manager = pluggy.PluginManager("gesso")
    manager.add_hookspecs(hookspecs)
    registry = Registry(manifest)
    for entry in manifest.plugins:
        plugin = _Registering(entry, registry)
        module = plugin.imported(manager)
        if module is not None:
            plugin.call_hooks(manager, module, PluginContext(entry.name, manifest, dict((options or {}).get(entry.name, {}))))
            plugin.compare_with_declared()
        registry.plugins.append(plugin.state())
    return registry


@dataclass(frozen=True)
class _Kind:
    """One hook and how what it returns is checked and entered. ``check`` returns a fault, or an empty string."""

    hook: str
    provides: str
    check: Callable[[Any], str]
    aliases: Callable[[Any], tuple[str, ...]] = field(default=lambda _: ())


def _titled(thing: Any) -> tuple[str, ...]:
    return (thing.title, *thing.aliases)


def _lacks(thing: object, *names: str) -> str:
    missing = [name for name in names if not callable(getattr(thing, name, None))]
    return f"has no method {missing[0]}()" if missing else ""


def _check_operation(thing: Any) -> str:
    params = getattr(thing, "Params", None)
    if isinstance(thing, type):
        return "is a class; register an instance"
    if not (isinstance(params, type) and issubclass(params, OperationParams)):
        return "has no Params that derive from gesso.plugin.OperationParams"
    if not isinstance(getattr(thing, "title", None), str):
        return "has no title"
    return _lacks(thing, "resolve", "run")


def _check_sampler(thing: Any) -> str:
    return "" if isinstance(thing, SamplerSpec) else "is no SamplerSpec; decorate it with gesso.plugin.sampler"


def _check_schedule(thing: Any) -> str:
    return "" if isinstance(thing, ScheduleSpec) else "is no ScheduleSpec; decorate it with gesso.plugin.schedule"


_KINDS = (
    _Kind("gesso_samplers", "samplers", _check_sampler, _titled),
    _Kind("gesso_schedules", "schedules", _check_schedule, _titled),
    _Kind("gesso_operations", "operations", _check_operation),
    _Kind("gesso_families", "families", lambda family: _lacks(family, "inspect", "load")),
    _Kind("gesso_datasets", "datasets", lambda source: _lacks(source, "sample")),
)


class _Registering:
    """One plugin while it is imported and registers."""

    def __init__(self, entry: PluginEntry, registry: Registry) -> None:
        self._entry = entry
        self._registry = registry
        self._faults: list[Fault] = []
        self._registered: dict[str, list[str]] = {}

    def imported(self, manager: pluggy.PluginManager) -> object | None:
        """The plugin's module, its hooks verified; None where it failed."""
        try:
            module = importlib.import_module(self._entry.module)
        except (Exception, SystemExit) as fault:
            self._fail("", f"could not be imported: {_said(fault)}", fault)
            return None
        try:
            manager.register(module, name=self._entry.name)
            manager.check_pending()
        except (ValueError, pluggy.PluginValidationError) as fault:
            if manager.has_plugin(self._entry.name):
                manager.unregister(module)
            self._fail("", f"has a hook that Gesso cannot call: {_said(fault)}", fault)
            return None
        return module

    def call_hooks(self, manager: pluggy.PluginManager, module: object, ctx: PluginContext) -> None:
        """Call each hook of this plugin alone, so that a fault has one culprit."""
        others = [plugin for plugin in manager.get_plugins() if plugin is not module]
        for kind in _KINDS:
            started = time.perf_counter()
            try:
                things = [thing for batch in manager.subset_hook_caller(kind.hook, others)(ctx=ctx) for thing in _listed(batch)]
            except (Exception, SystemExit) as fault:
                self._fail(kind.hook, f"failed in the hook {kind.hook}: {_said(fault)}", fault)
                continue
            for thing in things:
                self._enter(kind, thing)
            if things and os.environ.get(TRACE_VARIABLE):
                spent = (time.perf_counter() - started) * 1000
                print(f"gesso: {kind.hook}: {self._entry.name}: {len(things)} in {spent:.1f} ms", file=sys.stderr)

    def _enter(self, kind: _Kind, thing: Any) -> None:
        name = getattr(thing, "name", None)
        if not isinstance(name, str) or not name:
            self._fail(kind.hook, f"registered {thing!r} in {kind.hook}, which has no name")
            return
        catalogue: Catalogue[Any] = getattr(self._registry, kind.provides)
        wrong = kind.check(thing)
        if wrong:
            self._fail(kind.hook, f"registered {name!r} in {kind.hook}, which {wrong}")
        elif name not in self._entry.provides.get(kind.provides, ()):
            self._fail(kind.hook, f"registered {name!r} in {kind.hook}, but does not declare it under provides.{kind.provides}")
        elif taken := catalogue.taken((name, *kind.aliases(thing))):
            self._fail(kind.hook, f"registered {name!r} in {kind.hook}, but {taken}")
        else:
            catalogue.add(name, thing, self._entry.name, kind.aliases(thing))
            self._registered.setdefault(kind.provides, []).append(name)

    def compare_with_declared(self) -> None:
        """What is declared but was not registered is a fault too: lists would show what is not there."""
        failed = {fault.hook for fault in self._faults}
        for kind in _KINDS:
            declared = self._entry.provides.get(kind.provides, ())
            missing = [name for name in declared if name not in self._registered.get(kind.provides, [])]
            if missing and kind.hook not in failed:
                self._fail(kind.hook, f"declares {', '.join(missing)} under provides.{kind.provides}, but did not register it")

    def state(self) -> PluginState:
        return PluginState(self._entry, {kind: tuple(names) for kind, names in self._registered.items()}, tuple(self._faults))

    def _fail(self, hook: str, what: str, cause: BaseException | None = None) -> None:
        trace = "" if cause is None else "".join(traceback.format_exception(cause))
        self._faults.append(Fault(self._entry.name, hook, f"The plugin {self._entry.name!r} {what}.", trace))


def _listed(batch: object) -> Iterable[Any]:
    if isinstance(batch, str) or not isinstance(batch, Iterable):
        raise TypeError(f"it returned {type(batch).__name__} where a list was expected")
    return list(batch)


def _said(fault: BaseException) -> str:
    text = " ".join(str(fault).split()).rstrip(".")
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__
