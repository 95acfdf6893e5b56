"""A real Blender with the add-on installed in a folder of the test's own. Where Blender is missing, the tests fail: they never skip."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gesso.cli import main
from gesso.client import Client

from ...conftest import start_daemon, stop_daemon

INSIDE = Path(__file__).parent / "inside"
PICTURES = os.environ.get("GESSO_PICTURES")
"""Where photographs are kept, for whoever wants to look at them or to put them into the documentation."""


@dataclass
class Blender:
    """One user's Blender; ``folder`` holds its settings, the verdicts and the photographs."""

    folder: Path

    @property
    def scratch(self) -> Path:
        """Where its programs put what they need for as long as they run."""
        return self.folder / "tmp"

    def command(self, window: bool) -> list[str]:
        found = shutil.which("blender")
        assert found is not None, "Blender is not installed: apt install blender python3-numpy xvfb imagemagick"
        if not window:
            return [found, "-b", "-noaudio", "--factory-startup"]
        missing = [name for name in ("xvfb-run", "import") if shutil.which(name) is None]
        assert missing == [], "apt install xvfb imagemagick"
        screen = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24"]
        window_words = ["--enable-event-simulate", "--window-geometry", "0", "0", "1600", "1200"]
        return [*screen, found, "-noaudio", "--factory-startup", *window_words]

    def start(self, script: str, *, window: bool = False, **environment: str) -> subprocess.Popen[str]:
        verdict = self.folder / f"{script}.json"
        verdict.unlink(missing_ok=True)
        self.scratch.mkdir(exist_ok=True)
        environ = {
            **os.environ,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "BLENDER_USER_SCRIPTS": str(self.folder / "scripts"),
            "BLENDER_USER_CONFIG": str(self.folder / "config"),
            "SCRIPT": str(INSIDE / f"{script}.py"),
            "VERDICT": str(verdict),
            "FOLDER": str(self.folder),
            "TMPDIR": str(self.scratch),
            **environment,
        }
        environ.pop("PYTHONPATH", None)  # what runs in Blender is the copy
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever uses Blender has none
        words = [*self.command(window), "--python", str(INSIDE / "drive.py")]
        return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def finish(self, script: str, process: subprocess.Popen[str], seconds: float = 600) -> dict[str, Any]:
        """Its verdict, after it has ended by itself with status 0."""
        try:
            said = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the screen and Blender on it
            said = process.communicate()[0]
        for picture in self.folder.glob("*.png") if PICTURES else ():
            shutil.copy(picture, PICTURES or "")
        path = self.folder / f"{script}.json"
        verdict: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"ok": False, "fault": "there is no verdict"}
        crashes = "".join(path.read_text() for path in self.scratch.glob("*.crash.txt"))
        crashed = "Blender crashed: " if crashes else ""
        assert process.returncode == 0, f"{crashed}{verdict.get('fault')}\n{crashes}\n{said[-4000:]}"
        assert verdict["ok"], verdict
        assert "Traceback" not in said, said[-4000:]
        return verdict

    def run(self, script: str, *, window: bool = False, **environment: str) -> dict[str, Any]:
        return self.finish(script, self.start(script, window=window, **environment))


@pytest.fixture
def blender(home: Path, tmp_path: Path) -> Blender:
    """With the add-on where `gesso bridge install` puts it."""
    folder = tmp_path / "blender"
    addons = folder / "scripts" / "addons"
    assert main(["bridge", "install", "blender", "--into", str(addons)]) == 0
    assert (addons / "gesso_blender" / "__init__.py").is_file()
    return Blender(folder)


@pytest.fixture
def client(home: Path) -> Iterator[Client]:
    """A daemon that runs, and a second client of it that sees what Blender asked for."""
    daemon = start_daemon(home)
    with Client(start=False) as client:
        yield client
    stop_daemon(daemon)
