"""How long the bridge makes Blender's main thread stand still: turning it on, ticks while a job runs, a result of each size.

    python bench/blender.py [FILE]

Needs Blender, Xvfb and ImageMagick. `shown_ms` is what the bridge takes to hand a result over and Blender to decode the picture that is
looked at, `shown_cpu_ms` the same in time of the processor, for machines that have other work; the drawing of the window is left out,
because it happens in software here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gesso.client import Client
from gesso_bridges.commands import install

ROOT = Path(__file__).resolve().parents[1]
INSIDE = ROOT / "tests/bridges/blender/inside"


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "bench/results/blender.json")
    with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as folder:
        os.environ["GESSO_HOME"] = folder
        install(["blender", "--into", f"{folder}/scripts/addons"])
        environ = {
            **os.environ,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "BLENDER_USER_SCRIPTS": f"{folder}/scripts",
            "BLENDER_USER_CONFIG": f"{folder}/config",
            "SCRIPT": str(INSIDE / "measured.py"),
            "VERDICT": f"{folder}/verdict.json",
            "FOLDER": folder,
        }
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # Blender's own users have none: Python keeps what it has compiled
        words = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", "blender", "-noaudio", "--factory-startup", "--enable-event-simulate"]
        command = [*words, "--window-geometry", "0", "0", "1600", "1200", "--python", str(INSIDE / "drive.py")]
        warm = [*words[4:], "-b", "--python-expr", "import addon_utils; addon_utils.enable('gesso_blender')"]
        subprocess.run(warm, env=environ, check=True, capture_output=True)  # so that Python has compiled the add-on, as after its first use
        with Client() as client:
            subprocess.run(command, env=environ, check=False, timeout=580)
            client.stop()
        verdict = json.loads(Path(folder, "verdict.json").read_text())
    print(json.dumps(verdict, indent=1))
    if verdict.pop("ok"):
        target.write_text(json.dumps(verdict, indent=1) + "\n")


if __name__ == "__main__":
    main()
