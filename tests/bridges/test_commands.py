"""`gesso bridge`: what is found, copied, updated and packed, and that a host is afterwards as it was before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gesso.cli import main
from gesso.client import start
from gesso.errors import PluginError
from gesso.manifest import BridgeEntry
from gesso.wire.home import Home
from gesso_bridges import hosts, vendor
from gesso_bridges.hosts import Installation


@dataclass
class Easel:
    """A host application that is a folder."""

    folder: Path
    title: str = "Easel"
    hint: str = "Turn it on in Easel."
    program: str = "install Easel"
    content: dict[str, bytes] = field(default_factory=lambda: {"gesso_easel/__init__.py": b"one", "gesso_easel/part/two.py": b"two"})

    def installations(self, environ: Mapping[str, str]) -> list[Installation]:
        return [Installation("Easel 1.0", self.folder / "addons")] if self.folder.is_dir() else []

    def files(self) -> dict[str, bytes]:
        return self.content

    def packed_name(self) -> str:
        return "gesso-easel.zip"


@pytest.fixture
def easel(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Easel:
    easel = Easel(tmp_path / "easel")
    easel.folder.mkdir()
    monkeypatch.setattr(hosts, "entries", lambda: (BridgeEntry("easel", "Easel.", "somewhere:host"),))
    monkeypatch.setattr(hosts, "host", lambda name: easel)
    return easel


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["bridge", "list", "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["installations"]
    return found


def test_a_host_is_afterwards_as_it_was_before(easel: Easel, capsys: pytest.CaptureFixture[str]) -> None:
    (easel.folder / "own.txt").write_text("the user's")
    before = tree(easel.folder)
    assert [row["state"] for row in listed(capsys)] == ["absent"]
    assert main(["bridge", "install", "easel"]) == 0
    assert "Turn it on in Easel." in capsys.readouterr().out
    assert tree(easel.folder)["addons/gesso_easel/part/two.py"] == b"two"
    assert [row["state"] for row in listed(capsys)] == ["current"]
    (easel.folder / "addons/gesso_easel/__pycache__").mkdir()
    (easel.folder / "addons/gesso_easel/__pycache__/__init__.cpython-311.pyc").write_bytes(b"compiled")
    assert main(["bridge", "uninstall", "easel"]) == 0
    assert tree(easel.folder) == before
    assert [row["state"] for row in listed(capsys)] == ["absent"]


def test_an_installed_bridge_finds_the_gesso_that_installed_it(easel: Easel, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without `program.remember` in `commands._copied`: a host's path seldom names a virtual environment's `gesso`."""
    assert main(["bridge", "install", "easel"]) == 0
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/opt/easel/easel")
    words, ours = start.program(Home.find())
    assert not ours
    done = subprocess.run([*words, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("gesso ")


def test_folders_of_others_stay(easel: Easel) -> None:
    (easel.folder / "addons/other").mkdir(parents=True)
    (easel.folder / "addons/other/x.py").write_text("x")
    before = tree(easel.folder)
    assert main(["bridge", "install", "easel"]) == 0
    assert main(["bridge", "uninstall", "easel"]) == 0
    assert tree(easel.folder) == before


def test_an_update_replaces_adds_and_removes(easel: Easel, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(easel.folder)
    main(["bridge", "install", "easel"])
    easel.content = {"gesso_easel/__init__.py": b"ONE", "gesso_easel/three.py": b"three"}
    assert [row["state"] for row in listed(capsys)] == ["outdated"]
    assert main(["bridge", "update"]) == 0
    assert [row["state"] for row in listed(capsys)] == ["current"]
    now = {name: data for name, data in tree(easel.folder / "addons").items() if data is not None}
    assert now == easel.content
    assert main(["bridge", "uninstall", "easel"]) == 0
    assert tree(easel.folder) == before


def test_what_somebody_changed_is_left_and_named(easel: Easel, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bridge", "install", "easel"])
    changed = easel.folder / "addons/gesso_easel/__init__.py"
    changed.write_bytes(b"mine")
    assert [(row["state"], row["changed"]) for row in listed(capsys)] == [("changed", ["gesso_easel/__init__.py"])]
    assert main(["bridge", "uninstall", "easel"]) == 0
    assert str(changed) in capsys.readouterr().err
    assert tree(easel.folder / "addons") == {"gesso_easel": None, "gesso_easel/__init__.py": b"mine"}


def test_a_file_that_gesso_did_not_write_is_never_overwritten(easel: Easel, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = easel.folder / "addons/gesso_easel/__init__.py"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    before = tree(easel.folder)
    assert main(["bridge", "install", "easel"]) == 1
    assert "did not put it there" in capsys.readouterr().err
    assert tree(easel.folder) == before


def test_gesso_uninstall_takes_bridges_along(easel: Easel, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(easel.folder)
    main(["bridge", "install", "easel"])
    assert main(["uninstall", "--dry-run"]) == 0
    assert "the bridge in Easel 1.0" in capsys.readouterr().out
    assert main(["uninstall", "--yes"]) == 0
    assert tree(easel.folder) == before
    assert not (home / "state").exists()


def test_a_packed_bridge_has_the_same_bytes_every_time(easel: Easel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bridge", "pack", "easel", "-o", f"{tmp_path}/out/"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "out/gesso-easel.zip"
    first = path.read_bytes()
    packed = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
    assert packed == {**easel.content, "gesso_easel/": b"", "gesso_easel/part/": b""}
    assert main(["bridge", "pack", "easel", "-o", f"{tmp_path}/out/"]) == 1
    assert main(["bridge", "pack", "easel", "-o", f"{tmp_path}/out/", "--force"]) == 0
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["install"], 2, "Which program"),
        (["install", "easel", "--onto", "x"], 2, "Unrecognized arguments: --onto x"),
        (["uninstall", "easel"], 2, "is not installed"),
        (["update"], 2, "No such bridge is installed"),
    ],
)
def test_a_wrong_command_is_one_sentence(easel: Easel, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bridge", *words]) == code
    assert said in capsys.readouterr().err
    assert main(["bridge", *words, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_no_installation_says_what_to_do(easel: Easel, capsys: pytest.CaptureFixture[str]) -> None:
    easel.folder.rmdir()
    assert main(["bridge", "install", "easel"]) == 2
    assert "install Easel, start it once, or name its folder" in capsys.readouterr().err
    assert main(["bridge", "list"]) == 0
    assert "not found; install Easel" in capsys.readouterr().out


def test_an_unknown_bridge_names_the_known_ones(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bridge", "install", "gimp"]) == 2
    assert "There is no bridge 'gimp'" in capsys.readouterr().err


def test_imports_become_relative_at_every_depth() -> None:
    source = b"from gesso.client import Client\nif x:\n    from gesso.wire.home import Home\nfrom . import form\nfrom gesso import y\n"
    assert vendor.relative("pack/panel/one.py", source) == (
        b"from ..gesso.client import Client\nif x:\n    from ..gesso.wire.home import Home\nfrom . import form\nfrom ..gesso import y\n"
    )
    assert b"from ...gesso.client" in vendor.relative("pack/a/b/c.py", source)
    assert vendor.relative("pack/panel/words.txt", source) == source
    for culprit in (b"import gesso.client\n", b"    from gesso_bridges.panel import form\n"):
        with pytest.raises(PluginError, match="cannot be copied"):
            vendor.relative("pack/one.py", culprit)


USE = """
import sys
sys.path.insert(0, sys.argv[1])
from addon.panel.form import parse
from addon.panel.session import Session
from addon.panel import history, report, steps
session = Session("copy", start=False)
session.connect()
import time
while session.state.name in ("unknown", "looking"):
    session.poll()
    time.sleep(0.01)
print(session.state.name, [step.done for step in steps.first_steps(session)])
print(sorted(name for name in sys.modules if name.split(".")[0] in ("gesso", "gesso_bridges", "zmq", "numpy")))
"""


def test_the_shared_panel_runs_as_a_copy_without_gesso(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "_read", lambda entry, path, read=vendor._read: [] if path == "easel" else read(entry, path))
    for name, data in {"addon/__init__.py": b"", **vendor.package("addon", "easel")}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", USE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["absent [False, False, False]", "[]"]


def test_vermin_finds_nothing_newer_than_3_9() -> None:
    folder = Path(vendor.__file__).parent / "panel"
    command = [str(Path(sys.executable).with_name("vermin")), "-t=3.9-", "--eval-annotations", "--no-tips", "--violations", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
