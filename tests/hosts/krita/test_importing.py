"""What `gesso bridge pack krita` writes is taken by Krita's own importer of plugins, and works in a real Krita."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gesso.client import Client

from .conftest import FILES, HERE, LIMIT, RESOURCES, Host

pytestmark = [pytest.mark.krita, pytest.mark.timeout(LIMIT)]
AS_KRITA = "import builtins, runpy, sys; builtins.i18n = str; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
"""Krita 6 puts the function that translates among Python's own, and its importer takes it from there."""
PARTS = ("gesso_krita.desktop", "gesso_krita/krita/plugin.py", "gesso_krita/gesso/client/__init__.py")


def test_kritas_own_importer_takes_the_packed_bridge(host: Host, gesso: Path, tmp_path: Path) -> None:
    """Fails without `folders` in `commands.zipped`: the importer would find no plugin in the file."""
    resources = imported(host, gesso, tmp_path)
    (tmp_path / "lab").mkdir()
    verdict = Host(tmp_path / "profile").run(HERE / "steps/imported.py", tmp_path / "lab", GESSO_HOME=str(gesso))
    facts = verdict.check()
    assert Path(facts["plugin"]).parts[-3:] == ("pykrita", "gesso_krita", "__init__.py")
    assert [part for part in PARTS if not (resources / "pykrita" / part).is_file()] == []
    state, number = facts["task"]
    with Client(home=gesso, start=False) as client:
        job, image = client.job(number), client.attach(number).result(60).images[0]
    assert (job["client"], job["operation"], job["params"]["prompt"], job["params"]["seed"]) == ("krita", "generate", "red brick", 3)
    assert (state, facts["box"], facts["below"]) == ("done", [32, 16, 32, 32], True)
    layer = np.frombuffer(bytes.fromhex(facts["pixels"]), np.uint8).reshape(32, 32, 4)
    assert np.array_equal(layer[..., [2, 1, 0]], np.asarray(image.plane())[..., :3])
    assert (layer[..., 3] == 255).all()


def imported(host: Host, home: Path, folder: Path) -> Path:
    """A HOME with what the importer unpacked in the place of what `gesso bridge install` puts there; gives its folder for resources."""
    resources = shutil.copytree(host.profile, folder / "profile") / RESOURCES
    shutil.rmtree(resources / "pykrita/gesso_krita")
    (resources / "pykrita/gesso_krita.desktop").unlink()
    importer = FILES / "pykrita/plugin_importer/plugin_importer.py"
    words = [sys.executable, "-m", "gesso", "bridge", "pack", "krita", "-o", str(folder)]
    subprocess.run(words, check=True, env={**os.environ, "GESSO_HOME": str(home)}, stdout=subprocess.DEVNULL)
    words = [sys.executable, "-c", AS_KRITA, str(importer), str(folder / "gesso-krita.zip"), str(resources)]
    told = subprocess.run(words, check=True, capture_output=True)
    assert told.stdout.decode().strip() == "Imported plugin: Gesso"
    assert (resources / "actions/gesso_krita.action").is_file()
    return resources
