"""What `gesso bridge` knows of Blender, without one: where add-ons go, and that the packed files fit every version."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

from gesso import __version__
from gesso_bridges import hosts
from gesso_bridges.blender.host import Blender


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


def test_each_version_gets_the_folder_that_it_reads(environ: dict[str, str], tmp_path: Path) -> None:
    for version in ("2.83", "3.4", "4.1", "4.2", "5.1", "notes"):
        (tmp_path / ".config/blender" / version).mkdir(parents=True)
    found = {place.title: str(place.folder.relative_to(tmp_path / ".config/blender")) for place in Blender().installations(environ)}
    assert found == {
        "Blender 3.4": "3.4/scripts/addons",
        "Blender 4.1": "4.1/scripts/addons",
        "Blender 4.2": "4.2/extensions/user_default",
        "Blender 5.1": "5.1/extensions/user_default",
    }


def test_a_blender_on_the_path_counts_before_its_first_start(environ: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "bin" / "blender"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Blender 4.5.3 LTS'\necho 'build date: x'\n")
    program.chmod(0o755)
    (place,) = Blender().installations(environ)
    assert (place.title, place.folder) == ("Blender 4.5", tmp_path / ".config/blender/4.5/extensions/user_default")
    program.write_text("#!/bin/sh\nexit 3\n")
    assert Blender().installations(environ) == []


def test_the_package_is_an_addon_and_an_extension_from_the_same_files() -> None:
    assert [entry.name for entry in hosts.entries()][:1] == ["blender"]
    files = hosts.host("blender").files()
    assert {name.partition("/")[0] for name in files} == {"gesso_blender"}
    manifest = tomllib.loads(files["gesso_blender/blender_manifest.toml"].decode())
    assert (manifest["id"], manifest["version"], manifest["blender_version_min"]) == ("gesso_blender", __version__, "4.2.0")
    assert "wheels" not in manifest
    assert not re.search(r"[.!?]$", manifest["tagline"]), "Blender refuses a tagline that ends in punctuation"
    assert not any(re.search(r"[.!?]$", text) for text in manifest["permissions"].values())
    top = ast.parse(files["gesso_blender/__init__.py"])
    info = next(ast.literal_eval(node.value) for node in top.body if isinstance(node, ast.Assign))
    assert info["blender"] == (3, 4, 0)
    assert ".".join(map(str, info["version"])) == __version__
    assert "gesso_blender/blender/LICENSE" in files
    assert "texture" in json.loads(files["gesso_blender/operations.json"])["operations"]
    assert not [name for name in files if name.endswith((".tmpl", "host.py", ".pyc"))]


def test_nothing_in_the_package_needs_gesso_or_numpy() -> None:
    for name, data in hosts.host("blender").files().items():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(data)):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                foreign = {found.partition(".")[0] for found in names} & {"gesso", "gesso_bridges", "numpy", "PIL", "torch"}
                assert not foreign, (name, foreign)
