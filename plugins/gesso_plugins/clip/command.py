"""The commands of the small CLIP, called with their arguments and a source of captioned renders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.training.arguments import Training, has_checkpoint, refuse_overwriting, train_parser

if TYPE_CHECKING:
    from gesso.plugin.datasets import CaptionedSource

DEFAULT_OUT = Path("runs/clip")
RESUMES = "go on from the run's checkpoint, else from the shipped weights"
ABOUT = "Train the small CLIP that scores pictures, on captioned renders; another seed is another scorer."
TRAINING = Training("clip", ABOUT, steps=2_600, resumes=RESUMES)


def shipped_weights() -> Path:
    """The model directory that ships with Gesso."""
    return Path(str(resources.files("gesso_plugins.clip") / "weights"))


def train(argv: Sequence[str], source: CaptionedSource) -> int:
    """`gesso train clip`."""
    parser = train_parser(TRAINING)
    parser.add_argument("--second", action="store_true", help="the second scorer: other towers and augmentation; give another --seed")
    options = parser.parse_args(argv)
    refuse_overwriting(parser, options)
    start = shipped_weights() if options.go_on and not has_checkpoint(options.out) else None
    if start is not None and options.second:
        parser.error(f"{options.out} holds no run, and no second scorer ships that could be gone on with: leave out --continue")
    from gesso_plugins.clip.config import SECOND_MODEL, ClipConfig, DataConfig, ModelConfig
    from gesso_plugins.clip.train import train_clip

    config = ClipConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        model=SECOND_MODEL if options.second else ModelConfig(),
        data=DataConfig(workers=options.workers, crop=options.second),
    )
    print(train_clip(source, config, start))
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
