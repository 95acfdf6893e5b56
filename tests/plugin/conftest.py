"""Plugins written for a test: modules on the path for as long as the test runs, and manifests that declare them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from gesso.manifest import Manifest, PluginEntry
from gesso.plugin import Registry, build_plugins

Build = Callable[..., Registry]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """``build(name=(source, provides), ...)`` -> the registry of these plugins, in this order."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def make(**plugins: tuple[str, Mapping[str, tuple[str, ...]]]) -> Registry:
        entries = []
        for name, (source, provides) in plugins.items():
            (tmp_path / f"written_{name}.py").write_text(source)
            entries.append(PluginEntry(name, f"written_{name}", name.title(), "A plugin.", "MIT", provides))
        return build_plugins(Manifest("test", "gesso_plugins:operations.json", tuple(entries)))

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("written_"):
            del sys.modules[name]
