"""The manifest: the first-party one is sound and quick to read; each fault names file, line, table, field and what is allowed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gesso import manifest
from gesso.errors import PluginError

HEAD = 'schema = 1\noperations = "gesso_plugins:operations.json"\n'
PLUGIN = '[[plugin]]\nname = "one"\nmodule = "one.plugin"\ntitle = "One"\nsummary = "The first."\nlicence = "MIT"\n'


def test_the_first_party_manifest_is_read_without_importing_a_plugin() -> None:
    code = (
        "import sys; from gesso.manifest import first_party; m = first_party();"
        "assert not [n for n in sys.modules if n.startswith('gesso_plugins.')], sys.modules;"
        "assert 'torch' not in sys.modules and 'pydantic' not in sys.modules and 'importlib.metadata' not in sys.modules;"
        "print(len(m.plugins))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) == len(manifest.first_party().plugins)


def test_first_party_names_what_ships() -> None:
    first = manifest.first_party()
    assert {"imaging", "texture", "samplers", "diffusion", "procedural", "starter"} <= {plugin.name for plugin in first.plugins}
    starter = next(model for model in first.models if model.name == "starter")
    assert starter.path is not None
    assert starter.path.parts[-2:] == ("starter", "weights")
    assert first.operations_file.name == "operations.json"
    assert first.operations_file.is_file()


def test_everything_that_may_be_said_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plugin_manifest.toml"
    path.write_text(
        HEAD
        + PLUGIN
        + 'extras = ["train"]\npermissions = ["network"]\nmemory = "small"\nprovides = { samplers = ["a", "b"] }\n'
        + '[[model]]\nname = "m"\nfamily = "f"\ntitle = "M"\npath = "weights"\ncapabilities = ["denoise"]\n'
        + "defaults = { steps = 8, guidance = 1.5 }\nlimits = { largest = 512 }\n"
        + '[[bridge]]\nname = "blender"\nhelp = "Blender."\nrun = "one.bridge:install"\n'
    )
    found = manifest.read(path)
    assert found.plugins[0].provides == {"samplers": ("a", "b")}
    assert found.plugins[0].extras == ("train",)
    assert (found.plugins[0].permissions, found.plugins[0].memory) == (("network",), "small")
    assert found.models[0].path == tmp_path / "weights"
    assert found.models[0].defaults == {"steps": 8, "guidance": 1.5}
    assert found.models[0].limits == {"largest": 512}
    assert found.bridges[0] == manifest.BridgeEntry("blender", "Blender.", "one.bridge:install")


@pytest.mark.parametrize(
    ("text", "field", "line", "said"),
    [
        (HEAD + PLUGIN.replace('module = "one.plugin"', 'module = "one/plugin"'), "module", 5, "a dotted module name"),
        (HEAD + PLUGIN.replace('title = "One"\n', ""), "title", 3, "is missing"),
        (HEAD + PLUGIN.replace('licence = "MIT"', "licence = 3"), "licence", 8, "must be text"),
        (HEAD + PLUGIN.replace('name = "one"', 'name = "One two"'), "name", 4, "lower-case"),
        (HEAD + PLUGIN + "colour = 1\n", "colour", 9, "allowed are name, module"),
        (HEAD + PLUGIN + 'provides = { sampler = ["a"] }\n', "provides.sampler", 9, "allowed are samplers"),
        (HEAD + PLUGIN + 'provides = { samplers = "a" }\n', "provides.samplers", 9, "list of names"),
        (HEAD + PLUGIN + 'provides = { samplers = ["a", "a"] }\n', "provides.samplers", 9, "twice"),
        (HEAD + PLUGIN + PLUGIN, "name", 10, "is taken"),
        (HEAD + "plugin = 1\n", "plugin", 3, "[[plugin]] tables"),
        (HEAD + "extra = 1\n", "extra", 3, "is not known"),
        ('schema = 1\noperations = "here"\n', "operations", 2, "package:file"),
        (
            HEAD + '[[model]]\nname = "m"\nfamily = "f"\ntitle = "M"\ncapabilities = ["denoise"]\ndefaults = { steps = "many" }\n',
            "defaults.steps",
            8,
            "cannot be 'many'",
        ),
        (HEAD + PLUGIN + 'permissions = ["files", "root"]\n', "permissions", 9, "cannot hold 'root'; allowed are network, files"),
        (HEAD + PLUGIN + 'memory = "huge"\n', "memory", 9, "cannot be 'huge'; allowed are none, small"),
        (HEAD + '[[bridge]]\nname = "x"\nhelp = "X."\nrun = "module"\n', "run", 6, "module:function"),
    ],
)
def test_a_fault_names_its_place(tmp_path: Path, text: str, field: str, line: int, said: str) -> None:
    path = tmp_path / "plugin_manifest.toml"
    path.write_text(text)
    with pytest.raises(PluginError) as caught:
        manifest.read(path)
    assert caught.value.field == field
    assert said in caught.value.message
    assert f"{path}, line {line}:" in caught.value.message
    assert caught.value.details["line"] == line


@pytest.mark.parametrize(("text", "said"), [("schema = 2\n", "schema 2"), ("a = 1\n", "no `schema`"), ("schema = \n", "line 1")])
def test_other_schemas_and_broken_toml_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plugin_manifest.toml"
    path.write_text(text)
    with pytest.raises(PluginError, match="plugin manifest") as caught:
        manifest.read(path)
    assert said in caught.value.message


def test_a_missing_file_and_a_missing_package_are_said(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be read"):
        manifest.read(tmp_path / "none.toml")
    with pytest.raises(PluginError, match="not installed"):
        manifest.resource("no_such_package.deeper:file")


ISOLATED = """
schema = 1

[[plugin]]
name = "warm"
module = "warm.plugin"
title = "Warm"
summary = "For tests."
licence = "MIT"
"""


def test_an_isolated_plugin_names_what_it_requires() -> None:
    lines = 'isolation = "venv"\nrequires = ["pillow<12"]\nprovides = { samplers = ["a"] }\n'
    found = manifest.parse(ISOLATED + lines, "m.toml").plugins[0]
    assert (found.isolation, found.requires) == ("venv", ("pillow<12",))
    assert manifest.parse(ISOLATED, "m.toml").plugins[0].isolation == "none"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('isolation = "venv"\nprovides = { families = ["a"] }', "families have to run in the worker itself"),
        ('isolation = "venv"\nprovides = { guidances = ["a"] }', "guidances have to run in the worker itself"),
        ('isolation = "docker"', 'must be "venv" or "none", not \'docker\''),
        ('requires = ["pillow"]', 'needs isolation = "venv"'),
        ('isolation = "venv"\nrequires = ["--index-url=x"]', "must be a list of requirements"),
        ('isolation = "venv"\nrequires = "pillow"', "must be a list of names"),
    ],
)
def test_isolation_that_cannot_be_is_refused(lines: str, said: str) -> None:
    with pytest.raises(PluginError, match=re.escape(said)) as refused:
        manifest.parse(f"{ISOLATED}{lines}\n", "m.toml")
    assert "m.toml, line 10" in refused.value.message or "m.toml, line 11" in refused.value.message
