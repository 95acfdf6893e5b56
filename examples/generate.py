"""Generate a texture from Python: events while it runs, then the picture. Run it: python examples/generate.py [FOLDER]."""

from __future__ import annotations

import sys
from pathlib import Path

from gesso.client import Client, Log, Progress


def main(folder: Path) -> Path:
    """Make one picture in ``folder``."""
    with Client() as gesso:
        job = gesso.submit("generate", prompt="mossy grey cobblestone", model="procedural", width=256, height=256, seed=7)
        for event in job:
            if isinstance(event, Progress):
                print(f"image {event.image + 1} of {event.images}: {event.fraction:.0%}")
            elif isinstance(event, Log):
                print(event.message)
        result = job.result()
        for warning in result.warnings:
            print(warning)
        return result.images[0].save(folder / "cobblestone.png")


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
