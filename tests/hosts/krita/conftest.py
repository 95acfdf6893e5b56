"""A real Krita on a screen of its own: every run gets a fresh copy of a seeded HOME, and its verdict file decides, not its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PATIENCE = float(os.environ.get("GESSO_KRITA_SECONDS", "240"))
"""Seconds that one Krita may take."""
LIMIT = 3 * PATIENCE + 180
"""Seconds that a test may take, which may start more than one, and a daemon."""
FILES = Path(os.environ.get("GESSO_KRITA_FILES", "/usr/share/krita"))
"""What this Krita brings along: its own plugins lie there."""
DESKTOP = """[Desktop Entry]
Type=Service
ServiceTypes=Krita/PythonPlugin
X-KDE-Library=gesso_lab
X-Python-2-Compatible=false
Name=Gesso's test driver
Comment=Runs the steps named by GESSO_LAB_STEPS and leaves a verdict
"""
FOREIGN = ("XDG_", "QT_", "PYTEST", "PYTHON", "VIRTUAL_ENV")
"""Variables of the test's own process that Krita must not see."""


@dataclass(frozen=True)
class Verdict:
    """What a run left behind. ``output``: what Krita wrote on its two streams."""

    ok: bool
    facts: dict[str, Any]
    faults: list[str]
    output: str
    folder: Path

    def check(self) -> dict[str, Any]:
        """The facts of a run that went well; fails the test else."""
        assert self.ok, "\n".join([*self.faults, self.output[-3000:]])
        return self.facts


@contextlib.contextmanager
def screen(scale: int = 1) -> Iterator[str]:
    """An X server of our own, larger by the scale; it chooses a free number itself, and tidies up after itself when it is asked to leave.

    Krita looks at OpenGL in a connection of its own first: a server that resets after the last connection would refuse the next one.
    No key repeats: on a busy machine one press would count for several.
    """
    words = ["Xvfb", "-displayfd", "1", "-noreset", "-screen", "0", f"{1600 * scale}x{1000 * scale}x24", "-nolisten", "tcp", "-r"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    number = server.stdout.readline().strip()
    assert number, "Xvfb did not start"
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


RESOURCES = Path(".local/share/krita")


class Host:
    """Krita under Xvfb. ``profile`` is the seeded HOME that each run copies; the first run adds the list that Krita makes of its brushes,
    which takes longer than all else of a start.
    """

    def __init__(self, profile: Path) -> None:
        self.profile = profile

    def run(self, steps: Path, folder: Path, **environment: str) -> Verdict:
        """Run a file of steps; a missing verdict or a plugin that could not be loaded is a failed run."""
        home, runtime = folder / "home", folder / "run"
        shutil.copytree(self.profile, home)
        steps = shutil.copytree(steps.parent, folder / "steps") / steps.name  # a Krita in a chroot sees this folder alone
        runtime.mkdir(mode=0o700)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        clean["PATH"] = "/usr/bin:/bin"  # the Python inside Krita looks for its library beside the first python3 of the path
        clean.update(HOME=str(home), XDG_RUNTIME_DIR=str(runtime), LANG="C.UTF-8", GESSO_LAB=str(folder), GESSO_LAB_STEPS=str(steps))
        scale = int(environment.get("QT_SCALE_FACTOR", "1"))
        with (folder / "krita.log").open("w") as log, screen(scale) as display:
            clean["DISPLAY"] = display
            words = [*shlex.split(os.environ.get("GESSO_KRITA", "krita")), "--nosplash"]
            process = subprocess.Popen(words, env={**clean, **environment}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            end = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < end:
                if "Could not import" in (folder / "krita.log").read_text(errors="replace"):
                    break  # no plugin of this Krita will ever leave a verdict
                time.sleep(0.2)
            crashed = (process.poll() or 0) < 0
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode == 0 and not (self.profile / RESOURCES / "resourcecache.sqlite").exists():
            shutil.copytree(home / RESOURCES, self.profile / RESOURCES, dirs_exist_ok=True)
        return read_verdict(folder, crashed)


def read_verdict(folder: Path, crashed: bool) -> Verdict:
    """The verdict of a run, made worse by what Krita wrote about plugins."""
    output = (folder / "krita.log").read_text(errors="replace")
    try:
        found = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Verdict(False, {}, ["Krita crashed" if crashed else "Krita left no verdict"], output, folder)
    faults = [*found["faults"], *(line for line in output.splitlines() if "Error loading plugin" in line or "Could not import" in line)]
    return Verdict(bool(found["ok"]) and not faults, found["facts"], faults, output, folder)


def seed(home: Path) -> None:
    """A HOME in which Krita loads the test driver and the bridge."""
    plugins = home / RESOURCES / "pykrita"
    shutil.copytree(HERE / "plugin", plugins)
    (plugins / "gesso_lab.desktop").write_text(DESKTOP)
    install = [sys.executable, "-m", "gesso", "bridge", "install", "krita", "--into", str(home / RESOURCES)]
    subprocess.run(install, check=True, env={**os.environ, "GESSO_HOME": str(home / "gesso")}, stdout=subprocess.DEVNULL)
    (home / ".config").mkdir(parents=True)
    (home / ".config/kritarc").write_text("[python]\nenable_gesso_lab=true\nenable_gesso_krita=true\n")


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """The Krita of this machine. Where it, or the screen, is missing, the tests fail: they never skip."""
    for command in ("krita", "Xvfb", "xdotool", "import"):
        assert shutil.which(command), f"{command} is missing: apt install krita python3-pyqt5 xvfb xdotool imagemagick"
    folder = Path(tempfile.mkdtemp(prefix="krita-", dir="/tmp"))
    home = folder / "seed"
    seed(home)
    yield Host(home)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def program(home: Path) -> Path:
    """What Krita starts where no daemon runs: this checkout's, in this Python."""
    found = home / "gesso.sh"
    variables = " ".join(f"{name}={shlex.quote(os.environ[name])}" for name in ("PATH", "PYTHONPATH"))
    found.write_text(f'#!/bin/sh\n{variables} exec {shlex.quote(sys.executable)} -m gesso "$@"\n')
    found.chmod(0o700)
    return found


@pytest.fixture
def gesso(home: Path, program: Path) -> Path:
    """A real daemon; gives its state directory. Krita can start another one where this one dies."""
    words = [str(program), "serve", "--detach"]
    subprocess.run(words, check=True, env={**os.environ, "GESSO_HOME": str(home)}, stdout=subprocess.DEVNULL)
    return home


@pytest.fixture
def tiny(home: Path, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models small enough to be made here: one that samples, a ControlNet for it and one for others, and one that follows instructions.
    No daemon runs yet.
    """
    from tests.plugins.conftest import build_pipeline
    from tests.plugins.diffusion.test_controlnet import build_controlnet
    from tests.plugins.diffusion.test_pipelines import build_instruct_pix2pix
    from tests.plugins.diffusion.unets import unet

    folder = tmp_path_factory.mktemp("models")
    base = build_pipeline(folder / "base")
    unet(cross_attention_dim=768).save_pretrained(folder / "other/unet")
    nets = {"edges": build_controlnet(base, folder / "net"), "others": build_controlnet(folder / "other", folder / "others")}
    made = {"tiny": base, **nets, "obeys": build_instruct_pix2pix(folder / "obeys")}
    for name, path in made.items():
        words = [sys.executable, "-m", "gesso", "models", "add", str(path), "--name", name]
        subprocess.run(words, check=True, env={**os.environ, "GESSO_HOME": str(home)}, stdout=subprocess.DEVNULL)
    return program


Runs = Callable[..., Verdict]


@pytest.fixture
def krita(host: Host, tmp_path: Path, home: Path) -> Runs:
    """Run a file of steps by its name, with Gesso's state in a folder of the test's own; ``part`` names a second run of the same test."""
    environment = {"GESSO_HOME": str(home), "GESSO_COMMAND": str(home / "gesso.sh")}

    def run(name: str, part: str = "first", **more: str) -> Verdict:
        folder = tmp_path / part
        folder.mkdir()
        return host.run(HERE / "steps" / f"{name}.py", folder, **environment, **more)

    return run


@pytest.fixture
def keep_pictures() -> Callable[[Path], None]:
    """Copy a run's photographs to the folder that GESSO_PHOTOGRAPHS names, for people to look at."""

    def keep(folder: Path) -> None:
        if wanted := os.environ.get("GESSO_PHOTOGRAPHS"):
            for picture in folder.glob("*/*.png"):
                shutil.copy(picture, wanted)

    return keep
