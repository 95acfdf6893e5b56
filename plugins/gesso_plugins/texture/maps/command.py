"""The commands of the maps network, called with their arguments and a source of renders with maps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gesso.plugin.datasets import MappedSource

DEFAULT_OUT = Path("runs/maps")
SEED = 4343
COUNT, TRAINED = 512, 1_024


def shipped_weights() -> Path:
    """The network that ships with Gesso."""
    return Path(str(resources.files("gesso_plugins.texture.maps") / "weights" / "maps.safetensors"))


def train(argv: Sequence[str], source: MappedSource) -> int:
    """`gesso train maps`."""
    about = "Train the network that finds height, roughness and metalness in a picture, on renders whose maps are known."
    parser = argparse.ArgumentParser(prog="gesso train maps", description=about, allow_abbrev=False)
    option = parser.add_argument
    option("--out", type=Path, default=DEFAULT_OUT, help="folder of the run (default: %(default)s)")
    option("--continue", dest="go_on", action="store_true", help="go on from the run's checkpoint")
    option("--minutes", type=float, help="stop after so many minutes; --continue goes on later")
    option("--steps", type=int, default=4_000, help="steps in all; the learning rate falls towards them (default: %(default)s)")
    option("--seed", type=int, default=1, help="seed of data and weights (default: %(default)s)")
    option("--threads", type=int, default=1, help="processor threads (default: %(default)s)")
    option("--workers", type=int, choices=(0, 1), default=1, help="1: a second process goes on rendering (default: %(default)s)")
    options = parser.parse_args(argv)
    if (options.out / "checkpoint" / "state.json").exists() and not options.go_on:
        parser.error(f"{options.out} holds a run: add --continue to go on with it, or choose another --out")
    from gesso_plugins.texture.maps.config import DataConfig, MapsConfig
    from gesso_plugins.texture.maps.train import train_maps

    config = MapsConfig(
        out=options.out,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        steps=options.steps,
        data=DataConfig(workers=options.workers),
    )
    print(train_maps(source, config))
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
