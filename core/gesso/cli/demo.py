"""`gesso demo`: three textures through the real daemon, then where they are. It uses nothing that a user could not type."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesso.cli import report, work
from gesso.cli.output import destination
from gesso.cli.schema import Surface


@dataclass(frozen=True)
class Piece:
    """One picture of the demonstration, as it would be typed."""

    prompt: str
    model: str
    size: int
    seed: int
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request(self) -> dict[str, Any]:
        """The parameters of `generate`."""
        return {
            "prompt": self.prompt,
            "model": self.model,
            "width": self.size,
            "height": self.size,
            "seed": self.seed,
            "tile": "xy",
            **self.params,
        }

    @property
    def command(self) -> str:
        """The command that makes the same picture."""
        return f'gesso generate "{self.prompt}" --model {self.model} --size {self.size} --seed {self.seed} --tile xy'


PIECES = (
    Piece("mossy grey cobblestone", "procedural", 512, 7),
    Piece("rusty blue corrugated metal", "procedural", 512, 5),
    Piece("grey cobblestone", "starter", 128, 3),
)


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """Make the pictures, say where they are, and open the folder where there is a desktop to open it on."""
    # The demonstration's own pictures are the same each time: writing them anew loses nothing.
    place = destination(os.path.join(args.output, ""), force=True)
    outcomes = []
    with work.connect(start=True) as client:
        for number, piece in enumerate(PIECES, 1):
            if not args.quiet:
                report.note(f"{number}/{len(PIECES)}  {piece.command}")
            job = client.submit("generate", piece.request)
            result = work.follow(job, f"{number}/{len(PIECES)}", quiet=args.quiet)
            outcomes.append(work.save(job.id, "generate", piece.request, result, place))
    paths = [path for outcome in outcomes for path in outcome.paths]
    if args.json:
        report.document(
            {"folder": str(place.folder.resolve()), "images": [str(path) for path in paths], "jobs": [o.document() for o in outcomes]}
        )
    else:
        _say_where(paths, place.folder)
    if args.open and sys.stdout.isatty() and not args.json:
        _open(place.folder)
    return 0


def _say_where(paths: list[Path], folder: Path) -> None:
    print(f"three textures in {folder.resolve()}:")
    for path in paths:
        print(f"  {path}")
    print("next: gesso generate --help; gesso show PNG prints how a picture was made; gesso stop ends the daemon")


def _open(folder: Path) -> None:
    """Show the folder in the desktop's file manager, if there is a desktop session."""
    session = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if session and opener is not None:
        subprocess.Popen(
            [opener, str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
