# SPDX-License-Identifier: GPL-3.0-or-later
"""A second Blender, without a window, that bakes while the first goes on. Both ends are here; all that passes between them are files in a
folder, which is gone afterwards, and the pipe whose end tells the second that the first is gone. A Blender without a window needs none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from array import array
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterator, List, Optional, Type

import bpy

from gesso.errors import GessoError, InvalidRequest

from . import baking
from .baking import Work
from .looking import View

OBJECTS, WORK, PROGRESS, FAULT, LOG = "objects.blend", "work.json", "progress", "fault", "log"
"""Files: what is baked, how, a byte for each step that is done, why it failed, and what the second Blender says."""


class Workplace:
    """A folder, and the process that works there; leaving it ends both, aside: a process takes its time to end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gesso-"))
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._painted: List[str] = []
        self._steps = 1

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], fault: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if self._process is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            threading.Thread(target=_end, args=(self._process, self.folder), name="gesso-end").start()

    def lay_out(self, work: Work, images: List[str]) -> None:
        """Write what the work needs: the stand-in with all that it is made of, and these images."""
        found = [bpy.data.images[name] for name in images]
        bpy.data.libraries.write(str(self.folder / OBJECTS), {bpy.data.objects[work.stand], *found}, path_remap="ABSOLUTE")
        self._painted = [image.name for image in found if image.is_dirty]
        self._steps = baking.steps(work)
        told = {"work": asdict(work), "images": images, "painted": self._painted}
        (self.folder / WORK).write_text(json.dumps(told), encoding="utf-8")

    def bake(self) -> Iterator[float]:
        """Yields how far it is, again and again. Raises GessoError where the second Blender could not be started or did not end well."""
        for number, name in enumerate(self._painted):
            self._write_pixels(number, name)
            yield 0.0
        yield 0.0
        process = self._process = self._started()
        while process.poll() is None:
            yield self._progress()
        if process.returncode != 0:
            raise GessoError(f"the second Blender, which bakes, {self._why(process.returncode)}. Nothing was changed.")

    def _write_pixels(self, number: int, name: str) -> None:
        """A file of Blender's holds what an image was loaded from, not what was painted on it."""
        image = bpy.data.images.get(name)
        if image is None:
            raise InvalidRequest(f"the image {name!r} is no longer there.", hint="Use the result again.")
        pixels = array("f", (0.0,)) * len(image.pixels)
        image.pixels.foreach_get(pixels)
        (self.folder / f"pixels-{number}").write_bytes(pixels)

    def _started(self) -> subprocess.Popen[bytes]:
        program, script = bpy.app.binary_path, str(Path(__file__).with_name("baker.py"))
        scripts = "--disable-autoexec" if bpy.app.autoexec_fail else "--enable-autoexec"  # drivers, as in this Blender
        words = [program, "--background", "-noaudio", "--factory-startup", scripts, "--python-exit-code", "3", "--python", script]
        words += ["--", str(self.folder)]
        no_console = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would show one
        ours = {**os.environ, "TMPDIR": str(self.folder), "TEMP": str(self.folder)}  # its own folder of files goes with ours
        try:
            with open(self.folder / LOG, "wb") as log:
                return subprocess.Popen(
                    words, env=ours, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, creationflags=no_console
                )
        except OSError as fault:
            raise GessoError(
                f"a second Blender, which bakes, could not be started ({fault}). Nothing was changed. "
                f"See that {program!r} is there and may be run, and use the result again."
            ) from fault

    def _progress(self) -> float:
        path = self.folder / PROGRESS
        return (path.stat().st_size if path.exists() else 0) / (self._steps + 1)

    def _why(self, status: int) -> str:
        """What it wrote down itself, else how it ended."""
        path = self.folder / FAULT
        if path.exists():
            return f"failed: {path.read_text(encoding='utf-8')}"
        said = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip() not in ("", "Blender quit")), "it said nothing")
        return f"ended with status {status} ({last}). Close what takes memory, or choose a smaller texture, and use the result again"


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.kill()
    process.communicate()
    shutil.rmtree(folder, ignore_errors=True)


def work_in(folder: Path) -> None:
    """In the second Blender: the work that is laid out there, then the end of the process."""
    threading.Thread(target=_watch, args=(folder,), name="gesso-watch", daemon=True).start()
    try:
        told = json.loads((folder / WORK).read_text(encoding="utf-8"))
        work = _received(folder, told)
        with open(folder / PROGRESS, "ab", buffering=0) as progress:
            for _ in baking.bake(work, folder):
                progress.write(b".")
    except Exception as fault:
        (folder / FAULT).write_text(str(fault).strip().rstrip("."), encoding="utf-8")
        raise
    sys.stdout.flush()
    os._exit(0)  # nothing of it is needed any longer


def _watch(folder: Path) -> None:
    """The first Blender ends, or crashes: nothing of the work is wanted."""
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _received(folder: Path, told: Dict[str, Any]) -> Work:
    """The data blocks are in this Blender now, by the names that the work says."""
    work = Work(**{**told["work"], "view": View(**told["work"]["view"])})
    with bpy.data.libraries.load(str(folder / OBJECTS)) as (_, wanted):
        wanted.objects, wanted.images = [work.stand], list(told["images"])
    for number, name in enumerate(told["painted"]):
        pixels = array("f")
        pixels.frombytes((folder / f"pixels-{number}").read_bytes())
        bpy.data.images[name].pixels.foreach_set(pixels)
    return work
