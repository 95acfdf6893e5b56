"""What `gesso bridge pack krita` writes is taken by Krita's own importer of plugins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.krita


def test_kritas_own_importer_takes_the_packed_bridge(tmp_path: Path, home: Path) -> None:
    """Fails without `folders` in `commands.zipped`: the importer would find no plugin in the file."""
    program = shutil.which("krita")
    assert program, "krita is missing: apt install krita"
    importer = Path(program).resolve().parents[1] / "share/krita/pykrita/plugin_importer/plugin_importer.py"
    words = [sys.executable, "-m", "gesso", "bridge", "pack", "krita", "-o", str(tmp_path)]
    subprocess.run(words, check=True, env={**os.environ, "GESSO_HOME": str(home)}, stdout=subprocess.DEVNULL)
    resources = tmp_path / "krita"
    resources.mkdir()
    told = subprocess.run(
        [sys.executable, str(importer), str(tmp_path / "gesso-krita.zip"), str(resources)], check=True, capture_output=True
    )
    assert told.stdout.decode().strip() == "Imported plugin: Gesso"
    parts = ("pykrita/gesso_krita.desktop", "pykrita/gesso_krita/krita/plugin.py", "pykrita/gesso_krita/gesso/client/__init__.py")
    assert [part for part in (*parts, "actions/gesso_krita.action") if not (resources / part).is_file()] == []
