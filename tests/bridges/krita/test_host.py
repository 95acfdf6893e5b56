"""The packed bridge: what Krita needs is there, it stands on its own, and Krita is afterwards as it was."""

from __future__ import annotations

import ast
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gesso.cli import main
from gesso_bridges.krita.actions import ACTS
from gesso_bridges.krita.host import Krita


def test_the_zip_is_what_kritas_importer_takes(tmp_path: Path) -> None:
    assert main(["bridge", "pack", "krita", "-o", str(tmp_path)]) == 0
    with zipfile.ZipFile(tmp_path / "gesso-krita.zip") as archive:
        names = archive.namelist()
        desktop = archive.read("pykrita/gesso_krita.desktop").decode()
        actions = ElementTree.fromstring(archive.read("actions/gesso_krita.action"))
    assert "X-KDE-Library=gesso_krita" in desktop
    assert "pykrita/gesso_krita/" in names, "Krita's importer looks for the folder's own entry"
    assert {found.get("name"): found.findtext("shortcut") for found in actions.iter("Action")} == {
        name: act.key for name, act in ACTS.items()
    }
    parts = ("__init__.py", "krita/docker.py", "panel/form.py", "gesso/client/__init__.py")
    assert {f"pykrita/gesso_krita/{part}" for part in parts} <= set(names)
    assert not [name for name in names if name.endswith(("host.py", ".pyc", ".so"))]


def test_it_imports_only_itself_the_standard_library_krita_and_qt() -> None:
    """Fails for every absolute import of gesso that `vendor.relative` leaves, and for numpy."""
    import sys

    foreign = {}
    for path, data in Krita().files().items():
        for node in ast.walk(ast.parse(data)) if path.endswith(".py") else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            foreign.update({name.split(".")[0]: path for name in names if name.split(".")[0] not in sys.stdlib_module_names})
    assert set(foreign) <= {"krita", "pykrita", "PyQt5", "PyQt6", "zmq"}, foreign  # pyzmq only where Krita's Python has it


def test_every_krita_of_this_user_is_found_and_left_as_it_was(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert main(["bridge", "install", "krita"]) == 2
    assert "start it once" in capsys.readouterr().err
    for folder in (".local/share/krita", ".var/app/org.kde.krita/data/krita"):
        (tmp_path / folder / "pykrita").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert main(["bridge", "install", "krita", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["program"] for entry in told["installed"]] == ["Krita", "Krita (Flatpak)"]
    assert "Python Plugin Manager" in told["hint"]
    assert (tmp_path / ".local/share/krita/pykrita/gesso_krita.desktop").exists()
    assert (tmp_path / ".local/share/krita/actions/gesso_krita.action").exists()
    assert main(["bridge", "uninstall", "krita"]) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_krita_on_the_path_that_was_never_started_is_found_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin/krita"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(program.parent))
    before = sorted(tmp_path.rglob("*"))
    assert main(["bridge", "install", "krita", "--json"]) == 0
    assert [entry["program"] for entry in json.loads(capsys.readouterr().out)["installed"]] == ["Krita"]
    assert (tmp_path / ".local/share/krita/pykrita/gesso_krita/__init__.py").exists()
    assert main(["bridge", "uninstall", "krita"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
