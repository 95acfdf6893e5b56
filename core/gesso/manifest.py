"""Reads `plugin_manifest.toml`: which plugins there are and what they provide, without importing any of them."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gesso.errors import PluginError

SCHEMA = 1
FILE_NAME = "plugin_manifest.toml"


@dataclass(frozen=True)
class PluginEntry:
    """One plugin as declared. ``provides`` maps a kind (samplers, schedules, operations, families, ...) to names."""

    name: str
    module: str
    title: str
    summary: str
    licence: str
    provides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """One model as declared or added by its owner. ``path`` is a directory or file, or None for models without weights."""

    name: str
    family: str
    title: str
    path: Path | None
    capabilities: tuple[str, ...]
    licence: str = ""


@dataclass(frozen=True)
class CommandEntry:
    """A subcommand of `gesso`: ``run`` is ``module:function``, imported only when it is run."""

    name: str
    help: str
    run: str


@dataclass(frozen=True)
class BridgeEntry:
    """A bridge into a host application: ``run`` is ``module:function``."""

    name: str
    help: str
    run: str


@dataclass(frozen=True)
class Manifest:
    """A whole manifest file."""

    path: str
    operations_resource: str
    plugins: tuple[PluginEntry, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    commands: tuple[CommandEntry, ...] = ()
    bridges: tuple[BridgeEntry, ...] = ()

    @cached_property
    def operations_file(self) -> Path:
        """Where the compiled schemas of all operations lie."""
        return resource(self.operations_resource)


def resource(name: str) -> Path:
    """``package:file`` -> path, without importing the package."""
    package, _, file = name.partition(":")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise PluginError(f"The manifest names the resource {name!r}, but the package {package!r} is not installed.")
    return Path(next(iter(spec.submodule_search_locations))) / file


def read(path: Path) -> Manifest:
    """Parse and check one manifest file; a fault is a PluginError that names file and field."""
    raise NotImplementedError


def first_party() -> Manifest:
    """The manifest that ships with Gesso: beside pyproject.toml in a checkout, else from the installed distribution."""
    raise NotImplementedError


def _table(value: Any) -> dict[str, Any]:
    raise NotImplementedError


_ = tomllib
