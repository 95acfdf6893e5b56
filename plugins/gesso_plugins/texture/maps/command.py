"""The commands of the maps network, called with their arguments and a source of renders with maps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.training.arguments import Training, has_checkpoint, refuse_overwriting, share, train_parser

if TYPE_CHECKING:
    from gesso.plugin.datasets import MappedSource

DEFAULT_OUT = Path("runs/maps")
ABOUT = "Train the network that finds height, roughness and metalness in a picture, on renders whose maps are known."
RESUMES = "go on from the run's checkpoint, else from the shipped weights"
TRAINING = Training("maps", ABOUT, steps=4_000, resumes=RESUMES)
SEED = 4343
COUNT, TRAINED = 512, 1_024


def shipped_weights() -> Path:
    """The network that ships with Gesso."""
    return Path(str(resources.files("gesso_plugins.texture.maps") / "weights" / "maps.safetensors"))


def train(argv: Sequence[str], source: MappedSource) -> int:
    """`gesso train maps`."""
    parser = train_parser(TRAINING)
    parser.add_argument("--half", action="store_true", help="compute in bfloat16; quicker where the processor multiplies it natively")
    about = "share (0 to 1) of the renders whose relief is another material's, or turned and steeper or flatter (default: %(default)s)"
    parser.add_argument("--variety", type=share, default=0.5, help=about)
    options = parser.parse_args(argv)
    refuse_overwriting(parser, options)
    start = shipped_weights() if options.go_on and not has_checkpoint(options.out) else None
    from gesso_plugins.texture.maps.config import DataConfig, MapsConfig
    from gesso_plugins.texture.maps.train import train_maps

    config = MapsConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        half=options.half,
        data=DataConfig(variety=options.variety, workers=options.workers),
    )
    print(train_maps(source, config, start))
    return 0


def evaluate(argv: Sequence[str], source: MappedSource) -> int:
    """`gesso evaluate maps`."""
    about = "Measure the maps network on materials that it never saw, against brightness taken for height."
    parser = argparse.ArgumentParser(prog="gesso evaluate maps", description=about, allow_abbrev=False)
    option = parser.add_argument
    option("--model", type=Path, default=None, help="a network's file (default: the one that ships)")
    option("--out", type=Path, default=DEFAULT_OUT / "evaluation", help="folder of the report (default: %(default)s)")
    option("--threads", type=int, default=1, help="processor threads (default: %(default)s)")
    options = parser.parse_args(argv)
    path = options.model or shipped_weights()
    if not path.is_file():
        parser.error(f"there is no network at {path}: train one with `gesso train maps`")
    import torch

    from gesso.training.files import write_json
    from gesso_plugins.texture.maps.report import report

    torch.set_num_threads(options.threads)
    rows = report(path, source, options.out, lambda text: print(text, file=sys.stderr, flush=True))
    write_json(options.out / "report.json", {name: row.as_json() for name, row in rows.items()})
    for name, row in rows.items():
        print(f"{name}: " + ", ".join(f"{plane} {value:.4f}" for plane, value in row.as_json().items()))
    return 0
