"""The daemon in the test's own process: a plugin's code runs here, through real sockets, and nothing is left when it has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from gesso.errors import InvalidRequest
from gesso.testing import InProcessDaemon

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = """
import os

from gesso.plugin import hookimpl, sampler

SEEN = []


@sampler("here", title="Here", paper="none")
def here(x, sigmas):
    SEEN.append(os.getpid())
    for sigma in sigmas[:-1]:
        x = (yield x, sigma).denoised
    return x


@hookimpl
def gesso_samplers(ctx):
    return [here]
"""
MANIFEST = """
schema = 1

[[plugin]]
name = "nearby"
module = "nearby_in_process"
title = "Nearby"
summary = "For tests."
licence = "MIT"
provides = { samplers = ["here"] }
"""


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nearby_in_process.py").write_text(PLUGIN)
    (tmp_path / "plugin_manifest.toml").write_text(MANIFEST)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "plugin_manifest.toml"


def test_a_plugin_runs_here_and_nothing_is_left(manifest: Path, home: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}
    daemon = InProcessDaemon(home, [manifest])
    try:
        params = {"prompt": "moss", "model": "starter", "steps": 2, "width": 64, "height": 64, "seed": 1}
        made = [daemon.client.submit("generate", params, sampler="nearby.here").result().images[0] for _ in range(2)]
        assert made[0].sha256 == made[1].sha256
        assert made[0].shape == (64, 64, 3)
        with pytest.raises(InvalidRequest, match="nearby"):
            daemon.client.submit("generate", params, sampler="nearby.hare")
    finally:
        daemon.close()
    assert set(sys.modules["nearby_in_process"].SEEN) == {os.getpid()}
    left = {thread.name for thread in threading.enumerate() if thread.name.startswith("gesso")} - before
    assert left <= {"gesso-pool_0", "gesso-pool_1", "gesso-pool_2"}, "pools wait for nobody"


def test_a_broken_plugin_is_named_before_anything_starts(manifest: Path, home: Path) -> None:
    manifest.write_text(MANIFEST.replace('"here"', '"elsewhere"'))
    with pytest.raises(AssertionError, match="registered 'here' in gesso_samplers, but does not declare it"):
        InProcessDaemon(home, [manifest])


def test_pytest_finds_the_fixtures_and_they_cost_nothing(tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert declared == {"gesso.testing.fixtures": "gesso.testing.fixtures"}
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\ndef test_nothing():\n    assert not {'torch', 'numpy', 'zmq', 'gesso.client', 'pydantic'} & set(sys.modules)\n"
        "    assert 'gesso.testing.fixtures' in sys.modules\n"
    )
    found = {point.name for point in metadata.entry_points(group="pytest11")}
    asked = [] if "gesso.testing.fixtures" in found else ["-p", "gesso.testing.fixtures"]  # an installation from before it was declared
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *asked, str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
