"""docs/samplers.md says what the specs say, and the code in docs/writing_samplers.md runs as it stands there."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gesso.manifest import read
from gesso.plugin import build_plugins
from gesso.testing import check_sampler
from gesso_plugins.samplers.document import UNCOMPARED, page
from gesso_plugins.samplers.plugin import SAMPLERS

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_page_of_samplers_is_current() -> None:
    assert (DOCS / "samplers.md").read_text(encoding="utf-8") == page(), "run: python -m gesso_plugins.samplers.document > docs/samplers.md"


def test_what_is_said_to_have_no_oracle_has_none() -> None:
    compared = "".join((Path(__file__).parent / f"test_{name}.py").read_text(encoding="utf-8") for name in ("k_diffusion", "diffusers"))
    for spec in SAMPLERS:
        assert (f'"{spec.name}"' in compared) != (spec.name in UNCOMPARED), spec.name


def blocks(language: str) -> list[str]:
    text = (DOCS / "writing_samplers.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "midpoint_plugin.py").write_text(blocks("python")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "midpoint_plugin", raising=False)
    return importlib.import_module("midpoint_plugin")


def test_the_first_sampler_registers_from_its_manifest(plugin: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "plugin_manifest.toml"
    path.write_text('schema = 1\noperations = "gesso_plugins:operations.json"\n' + blocks("toml")[0], encoding="utf-8")
    registry = build_plugins(read(path))
    assert registry.faults == ()
    assert registry.sampler("Midpoint") is plugin.midpoint
    assert len(blocks("python")[0].split("\n\n\n")[1].splitlines()) < 10


def test_its_own_test_passes(plugin: ModuleType) -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[1], names)
    names["test_midpoint"]()


def test_the_other_samplers_conform() -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[2], names)
    check_sampler(names["renoising"], model="consistency")
    exec(blocks("python")[3], names)
    (leap,) = names["gesso_samplers"](None)
    assert leap.stochastic
    check_sampler(leap, model="consistency")
