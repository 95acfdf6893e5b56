"""Runs the bridge's scripts without a window in the `bpy` wheels of newer Blenders, each in an environment of its own, extension included.

    python tools/blender_wheels.py FOLDER [VERSION ...]        (versions as pip takes them: 4.5.*, 5.0.*)

FOLDER keeps the environments, about 1 GB each. The wheels want Python 3.11. CI runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gesso_bridges.commands import zipped
from gesso_bridges.hosts import host

ROOT = Path(__file__).resolve().parents[1]
INSIDE = ROOT / "tests/bridges/blender/inside"
VERSIONS = ("4.5.*", "5.0.*")
SCRIPTS = {"scripted": "1", "projected": "1", "extension": "0"}
"""Script -> whether the add-on is turned on before it begins."""


def python_of(folder: Path, version: str) -> Path:
    """The Python of an environment that has this bpy."""
    environment = folder / f"bpy-{version.rstrip('.*')}"
    python = environment / "bin" / "python"
    if not (environment / "done").exists():
        maker = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
        if maker is None:
            sys.exit("The wheels of bpy want Python 3.11: install it.")
        subprocess.run([maker, "-m", "venv", "--clear", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"bpy=={version}"], check=True)
        (environment / "done").touch()
    return python


def run(python: Path, script: str, addon: str) -> bool:
    """One script with a daemon of its own; whether its verdict is good."""
    with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as folder:
        files = host("blender").files()
        Path(folder, "gesso.zip").write_bytes(zipped(files))
        for name, data in files.items():
            path = Path(folder, "scripts/addons", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        gesso = {"GESSO_HOME": folder, "GESSO_COMMAND": str(Path(sys.executable).with_name("gesso")), "ADDON": addon}
        places = {"BLENDER_USER_RESOURCES": f"{folder}/user", "BLENDER_USER_SCRIPTS": f"{folder}/scripts", "ZIP": f"{folder}/gesso.zip"}
        task = {"SCRIPT": str(INSIDE / f"{script}.py"), "VERDICT": f"{folder}/verdict.json", "FOLDER": folder}
        environ = {**os.environ, **gesso, **places, **task}
        Path(folder, "user").mkdir()
        done = subprocess.run(
            ["timeout", "1800", str(python), str(INSIDE / "drive.py")], env=environ, capture_output=True, text=True, check=False
        )
        subprocess.run([gesso["GESSO_COMMAND"], "stop"], env=environ, capture_output=True, check=False)
        verdict = Path(folder, "verdict.json")
        told = json.loads(verdict.read_text()) if verdict.exists() else {"ok": False, "fault": done.stdout + done.stderr}
    good = bool(told["ok"]) and done.returncode == 0
    print(f"{python.parents[1].name} {script}: {'ok' if good else 'FAILED'} {told if good else told['fault'][-2000:]}", flush=True)
    return good


def main() -> None:
    """Every script in every version; exit status 1 where one failed."""
    folder = Path(sys.argv[1]).resolve()
    versions = sys.argv[2:] or VERSIONS
    verdicts = [run(python_of(folder, version), script, addon) for version in versions for script, addon in SCRIPTS.items()]
    sys.exit(not all(verdicts))


if __name__ == "__main__":
    main()
