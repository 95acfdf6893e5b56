"""What is built is what is meant: wheel and sdist hold code, schemas, manifest and weights, and no tests."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def tracked(folder: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True, text=True)
    return {path for path in listed.stdout.splitlines() if (ROOT / path).exists()}


def test_the_wheel_holds_every_tracked_file_of_the_packages_and_nothing_of_the_tests(built: Path) -> None:
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    wanted = {path.partition("/")[2] for path in tracked("core") | tracked("plugins") | tracked("bridges")}
    assert wanted - names == set()
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"gesso", "gesso_plugins", "gesso_bridges"}
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "/tests/" in name] == []


def test_the_wheel_carries_manifest_licence_and_command(built: Path) -> None:
    wheel = zipfile.ZipFile(next(built.glob("*.whl")))
    names = {name.partition(".dist-info/")[2] for name in wheel.namelist() if ".dist-info/" in name}
    assert {"extra_metadata/plugin_manifest.toml", "licenses/LICENSE", "entry_points.txt"} <= names
    entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "gesso = gesso.cli:main" in wheel.read(entry_points).decode()


def test_the_sdist_is_enough_to_build_the_wheel_again(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "plugin_manifest.toml", "README.md", "LICENSE"} <= names
    assert tracked("core") | tracked("plugins") | tracked("bridges") <= names
    assert [name for name in names if name.startswith("tests/")] == []
