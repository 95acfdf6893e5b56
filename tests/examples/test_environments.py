"""Each stranger's project in an environment of its own: installed there by pip, its own tests run there, and one real job through a daemon
that lives there and sees no other example.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gesso import environments

pytestmark = [pytest.mark.examples, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.name.removeprefix("gesso-") for path in (ROOT / "examples").glob("gesso-*"))
Pixels = npt.NDArray[np.uint8]

STARTER = ("generate", "moss", "--model", "starter", "--size", "64", "--steps", "2", "--seed", "3")
JOBS: dict[str, tuple[Sequence[str], Callable[[Pixels], Any]]] = {
    "midway": ((*STARTER, "--sampler", "midway.midway"), lambda pixels: pixels.std() > 1),
    "stripes": (
        ("generate", "x", "--model", "stripes.plain", "--size", "64", "--seed", "3"),
        lambda pixels: len(np.unique(pixels.reshape(-1, 3), axis=0)) == 2,
    ),
    "washed": (("washed.washed", "--image", "red.png", "--strength", "1"), lambda pixels: np.all(pixels[..., 0] == pixels[..., 2])),
    "vivid": (("rerank", "red", "grey.png", "red.png", "--score", "vivid.vivid=1"), lambda pixels: pixels.std() > 1),
    "posterised": (("posterised.posterised", "--image", "grey.png", "--bits", "1"), lambda pixels: np.all(pixels == 0)),
}


class Environment:
    """A virtual environment over the one that the tests run in, with one example installed into it."""

    def __init__(self, folder: Path, name: str, home: Path) -> None:
        self.folder = folder
        self.python = environments.python_of(environments.make("example", (), folder, lambda _: None))
        self.environ = {**environments.environ(), "GESSO_HOME": str(home)}
        self.project = shutil.copytree(ROOT / "examples" / f"gesso-{name}", folder / f"gesso-{name}")
        flags = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
        self.run("-m", "pip", "install", *flags, str(self.project))

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python, which must succeed."""
        command = [str(self.python), *words]
        place = cwd or self.folder
        done = subprocess.run(command, cwd=place, env=self.environ, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run("-m", "gesso", *words, "--json").stdout)


def test_an_environment_lies_over_the_daemon_s_packages_and_over_no_others(tmp_path: Path) -> None:
    """Not over those of the Python below the daemon's own environment, which the daemon does not see either."""
    place = environments.make("layers", (), tmp_path, lambda _: None)
    listing = "import json, sys; print(json.dumps([path for path in sys.path if path.endswith('-packages')]))"
    command = [str(environments.python_of(place)), "-c", listing]
    seen = json.loads(subprocess.run(command, env=environments.environ(), capture_output=True, check=True).stdout)
    own, *below = seen
    assert Path(own).is_relative_to(place)
    assert below == [path for path in sys.path if path.endswith("-packages")]


def test_every_example_has_its_job() -> None:
    assert sorted(JOBS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_example_works_in_an_environment_of_its_own(tmp_path: Path, home: Path, name: str) -> None:
    here = Environment(tmp_path, name, home)
    own = here.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=here.project)
    assert " passed" in own.stdout
    strangers = [plugin["name"] for plugin in here.json("plugins", "list")["plugins"] if plugin["source"] == "distribution"]
    assert strangers == [name], "no other example is here"
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "red.png")
    Image.new("RGB", (32, 32), (100, 100, 100)).save(tmp_path / "grey.png")
    here.run("-m", "gesso", "plugins", "enable", name)
    words, holds = JOBS[name]
    try:
        made = here.json(*words, "-o", "out/")
        (worker,) = here.json("status")["workers"]
    finally:
        here.run("-m", "gesso", "stop")
    pixels = np.asarray(Image.open(tmp_path / made["results"][0]["path"]).convert("RGB"))
    assert holds(pixels), pixels
    assert worker["info"]["plugin_faults"] == []
    if name == "vivid":
        (ranked,) = [entry["ranking"] for entry in made["results"] if entry.get("ranking")]
        assert [entry["image"] for entry in ranked] == [1, 0], "the red one is the more colourful"
        assert set(ranked[0]["scores"]) == {"vivid.vivid"}
    if name == "posterised":
        (said,) = made["warnings"]
        assert said.startswith("made with Pillow 11."), said
        assert not metadata.version("pillow").startswith("11."), "which is not that of the daemon"
