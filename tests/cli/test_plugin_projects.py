"""Projects that `gesso plugins new` writes: the examples are such projects, their own tests pass, and installed they work in a daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gesso.cli.scaffold import project

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {"midway": "sampler", "washed": "operation", "stripes": "family", "vivid": "reranker"}


def run(words: Sequence[str], folder: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    places = [os.environ["PYTHONPATH"], *([str(path)] if path else [])]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.parametrize(("name", "kind"), EXAMPLES.items())
def test_each_example_is_what_new_writes(name: str, kind: str) -> None:
    folder = ROOT / "examples" / f"gesso-{name}"
    for path, text in project(name, kind).items():
        assert (folder / path).read_text(encoding="utf-8") == text, path


@pytest.mark.slow
@pytest.mark.timeout(600)  # a busy machine starts a second Python with torch slowly
@pytest.mark.parametrize(("name", "kind"), EXAMPLES.items())
def test_a_new_project_passes_its_own_tests(tmp_path: Path, name: str, kind: str) -> None:
    made = run(["-m", "gesso", "plugins", "new", f"my_{name}", "--kind", kind, "-o", "made"], tmp_path)
    assert made.returncode == 0, made.stderr
    assert run(["-m", "gesso", "plugins", "new", f"my_{name}", "--kind", kind, "-o", "made"], tmp_path).returncode == 1
    done = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path / "made")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_name_that_is_no_module_is_refused(tmp_path: Path) -> None:
    assert run(["-m", "gesso", "plugins", "new", "My-Plugin", "--kind", "sampler"], tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, installed by pip into a folder of their own."""
    folder = tmp_path_factory.mktemp("site")
    projects = [str(ROOT / "examples" / f"gesso-{name}") for name in EXAMPLES]
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    done = run([*words, "--target", str(folder), *projects], folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_installed_examples_are_off_until_enabled_and_then_work(site: Path, home: Path, tmp_path: Path) -> None:
    def gesso(*words: str) -> subprocess.CompletedProcess[str]:
        return run(["-m", "gesso", *words], tmp_path, site)

    def states() -> dict[str, str]:
        return {plugin["name"]: plugin["state"] for plugin in json.loads(gesso("plugins", "list", "--json").stdout)["plugins"]}

    assert {name: states()[name] for name in EXAMPLES} == dict.fromkeys(EXAMPLES, "off")
    first = gesso("generate", "moss", "--model", "procedural", "--size", "32", "-o", "first.png")
    assert first.returncode == 0, first.stderr
    assert gesso("washed.washed", "--image", "first.png", "-o", "x.png").returncode == 2, "there is no such command yet"
    for name in EXAMPLES:
        enabled = gesso("plugins", "enable", name)
        assert enabled.returncode == 0, enabled.stderr
        assert "it asks for: nothing (extras: none; device memory: none; licence: MIT)" in enabled.stderr
    assert "midway.midway" in gesso("samplers").stdout

    striped = gesso("generate", "anything", "--model", "stripes.plain", "--size", "64", "--seed", "3", "-o", "striped.png")
    assert striped.returncode == 0, striped.stderr
    pixels = np.asarray(Image.open(tmp_path / "striped.png"))
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) == 2

    washed = gesso("washed.washed", "--image", "striped.png", "--strength", "1", "-o", "washed.png")
    assert washed.returncode == 0, washed.stderr
    grey = np.asarray(Image.open(tmp_path / "washed.png").convert("RGB"))
    assert np.all(grey[..., 0] == grey[..., 2])

    with (site / "gesso_washed/plugin.py").open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert states()["washed"] == "changed"
    assert gesso("plugins", "reload").returncode == 0
    assert gesso("washed.washed", "--image", "striped.png", "-o", "again.png").returncode == 2
    assert states()["midway"] == "on"
