"""The commands of the small CLIP, called with their arguments and a source of captioned renders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gesso.plugin.datasets import CaptionedSource

DEFAULT_OUT = Path("runs/clip")


def shipped_weights() -> Path:
    """The model directory that ships with Gesso."""
    return Path(str(resources.files("gesso_plugins.clip") / "weights"))


def train(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso train clip`."""
    about = "Train the small CLIP that scores pictures, on captioned renders."
    parser = argparse.ArgumentParser(prog="gesso train clip", description=about, allow_abbrev=False)
    option = parser.add_argument
    option("--out", type=Path, default=DEFAULT_OUT, help="folder of the run (default: %(default)s)")
    option("--continue", dest="go_on", action="store_true", help="go on from the run's checkpoint")
    option("--minutes", type=float, help="stop after so many minutes; --continue goes on later")
    option("--steps", type=int, default=2_600, help="steps in all; the learning rate falls towards them (default: %(default)s)")
    option("--seed", type=int, default=1, help="seed of data and weights: another seed is another scorer (default: %(default)s)")
    option("--threads", type=int, default=1, help="processor threads (default: %(default)s)")
    option("--workers", type=int, choices=(0, 1), default=1, help="1: a second process goes on rendering (default: %(default)s)")
    options = parser.parse_args(argv)
    if (options.out / "checkpoint" / "state.json").exists() and not options.go_on:
        parser.error(f"{options.out} holds a run: add --continue to go on with it, or choose another --out")
    from gesso_plugins.clip.config import ClipConfig, DataConfig
    from gesso_plugins.clip.train import train_clip

    config = ClipConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        data=DataConfig(workers=options.workers),
    )
    print(train_clip(source, config))
    return 0


def evaluate(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso evaluate clip`."""
    about = "Measure a small CLIP on renders of other seeds, on whole materials that it never saw, and against a colour histogram."
    parser = argparse.ArgumentParser(prog="gesso evaluate clip", description=about, allow_abbrev=False)
    option = parser.add_argument
    option("--model", type=Path, default=None, help="a model directory (default: the shipped weights)")
    option("--out", type=Path, default=DEFAULT_OUT / "evaluation", help="folder of the report (default: %(default)s)")
    option("--threads", type=int, default=1, help="processor threads (default: %(default)s)")
    options = parser.parse_args(argv)
    folder = options.model or shipped_weights()
    if not (folder / "model.safetensors").exists():
        parser.error(f"{folder} is not a CLIP model directory: train one with `gesso train clip`")
    import torch

    from gesso.training.files import write_json
    from gesso_plugins.clip.report import report

    torch.set_num_threads(options.threads)
    rows = report(folder, source, options.out, lambda text: print(text, file=sys.stderr, flush=True))
    write_json(options.out / "report.json", {name: figures.as_json() for name, figures in rows.items()})
    for name, figures in rows.items():
        print(
            f"{name}: R@1 of 128 {figures.text_to_image:.1%} (text to image), {figures.image_to_text:.1%} (image to text),"
            f" R@5 {figures.text_to_image_at_5:.1%}, colour swapped {figures.colour_swap:.1%}, colour of all {figures.colour_of_all:.1%}"
        )
    return 0
