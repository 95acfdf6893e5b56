"""Runs the bridge's scripts with a window in a newer Blender than this machine's: that of another Debian, in a chroot. Needs root.

    python tools/blender_chroot.py FOLDER [SCRIPT ...]

FOLDER becomes the Debian named by `--suite` (default sid, which has 5.2 LTS; trixie has 4.3), about 2 GB, made once by debootstrap. The
daemon runs outside. Verdicts are printed; photographs stay in FOLDER/photographs. No part of CI: it fetches 700 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gesso.client import Client
from gesso_bridges.commands import install

INSIDE = Path(__file__).resolve().parents[1] / "tests/bridges/blender/inside"
SCRIPTS = ("previewed", "window", "projected", "editing", "worked", "first")
PACKAGES = (
    *("blender", "xvfb", "xauth", "imagemagick", "libgl1-mesa-dri", "libgl1", "libegl1"),
    *("python3-numpy", "python3-cattr", "python3-requests", "python3-zstandard"),  # what Blender's own extensions import
)


def made(root: Path, suite: str) -> None:
    """The Debian with Blender in it."""
    if (root / "usr/bin/blender").exists():
        return
    if shutil.which("debootstrap") is None:
        sys.exit("debootstrap is missing: apt install debootstrap")
    subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", suite, str(root)], check=True)
    apt = ["chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Acquire::Check-Valid-Until=false"]
    with mounted(root, Path("/proc")):
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "install", "-y", "--no-install-recommends", *PACKAGES], check=True)


@contextmanager
def mounted(root: Path, *folders: Path) -> Iterator[None]:
    """Folders of this machine at the same place in the chroot."""
    done: list[Path] = []
    try:
        for folder in folders:
            place = root / folder.relative_to("/")
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", str(folder), str(place)], check=True)
            done.append(place)
        yield
    finally:
        for place in reversed(done):
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def daemon(home: Path, runs: bool) -> Iterator[dict[str, str]]:
    """A daemon on this machine, and what lets the Blender in the chroot start one as well; ``runs``: from the beginning."""
    wanted, begin, over = home / "wanted", home / "bin/gesso", threading.Event()
    program(begin, f'touch "{wanted}"\nexec sleep 60')  # who starts a daemon waits for it while this lives

    def attend() -> None:
        while not over.wait(0.2):
            if wanted.exists():
                wanted.unlink()
                subprocess.run([sys.executable, "-m", "gesso", "serve"], capture_output=True, check=False)

    if runs:
        Client().close()
    thread = threading.Thread(target=attend)
    thread.start()
    try:
        yield {"GESSO_COMMAND": str(begin), "PATH": f"{begin.parent}:{os.environ['PATH']}"}
    finally:
        over.set()
        with Client() as client:
            client.stop()
        thread.join()


def program(path: Path, text: str) -> None:
    """A shell script."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(root: Path, script: str) -> bool:
    """One script with a daemon of its own; whether its verdict is good."""
    with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as home:
        os.environ["GESSO_HOME"] = home
        folder = Path(home, "blender")
        install(["blender", "--into", f"{folder}/scripts/addons"])
        shutil.copytree(INSIDE, folder / "inside")
        program(Path(home, "bin/xdg-open"), f'echo "$1" >"{folder}/opened"')  # what shows text files
        places = {"BLENDER_USER_SCRIPTS": f"{folder}/scripts", "BLENDER_USER_CONFIG": f"{folder}/config", "GESSO_HOME": home}
        task = {"SCRIPT": f"{folder}/inside/{script}.py", "VERDICT": f"{folder}/verdict.json", "FOLDER": str(folder)}
        screen = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", "blender", "-noaudio", "--factory-startup", "--enable-event-simulate"]
        words = [*screen, "--window-geometry", "0", "0", "1600", "1200", "--python", f"{folder}/inside/drive.py"]
        mounts = (Path("/proc"), Path("/dev"), Path("/sys"), Path(home))
        with daemon(Path(home), script != "first") as begin, mounted(root, *mounts):
            environ = [f"{name}={value}" for name, value in {**places, **task, **begin, "LIBGL_ALWAYS_SOFTWARE": "1"}.items()]
            done = subprocess.run(["chroot", str(root), "env", *environ, *words], capture_output=True, text=True, check=False)
        verdict = folder / "verdict.json"
        told = json.loads(verdict.read_text()) if verdict.exists() else {"ok": False, "fault": done.stdout + done.stderr}
        for picture in folder.glob("*.png"):
            (root / "photographs").mkdir(exist_ok=True)
            shutil.copy(picture, root / "photographs" / f"{script}-{picture.name}")
    good = bool(told["ok"]) and done.returncode == 0
    print(f"{script}: {'ok' if good else 'FAILED'} {told if good else told['fault'][-2000:]}", flush=True)
    return good


def main() -> None:
    """Every script; exit status 1 where one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("scripts", nargs="*", default=SCRIPTS)
    parser.add_argument("--suite", default="sid")
    words = parser.parse_args()
    root = words.folder.resolve()
    made(root, words.suite)
    print(subprocess.run(["chroot", str(root), "blender", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0])
    verdicts = [run(root, script) for script in words.scripts]
    sys.exit(not all(verdicts))


if __name__ == "__main__":
    main()
