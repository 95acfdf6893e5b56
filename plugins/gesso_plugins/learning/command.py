"""The command `gesso finetune`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.errors import OutputError, UsageError
from gesso.training.arguments import above_zero, has_checkpoint
from gesso_plugins.learning.recipe import Recipe

if TYPE_CHECKING:
    from gesso.manifest import ModelEntry
    from gesso_plugins.learning.config import FinetuneConfig

ABOUT = "Learn a LoRA for a latent diffusion model from a folder of pictures. `gesso learn` does it in the daemon, beside other work."
DEFAULTS = Recipe()


def run(argv: Sequence[str]) -> int:
    """Check, load, learn, and print where the LoRA lies."""
    parser = _parser()
    options = parser.parse_args(argv)
    out: Path = options.out
    if out.suffix != ".safetensors":
        raise UsageError(f"--out names the LoRA, a file that ends in .safetensors, not {str(out)!r}.", field="out")
    folder = options.run or out.with_suffix(".run")
    if has_checkpoint(folder) and not options.go_on:
        raise UsageError(f"{folder} holds a run.", field="run", hint="Add --continue to go on with it, or choose another --run.")
    if out.exists() and not (options.go_on or options.force):
        raise OutputError(f"{out} exists already.", field="out", hint="Use --force to write over it, or another --out.")
    import torch

    from gesso.manifest import first_party
    from gesso.plugin import build_plugins
    from gesso_plugins.learning.base import load_base
    from gesso_plugins.learning.data import read_folder
    from gesso_plugins.learning.finetune import finetune

    torch.set_num_threads(options.threads)
    model = load_base(options.model, build_plugins(first_party()), _owned(), torch.device(options.device))
    samples = read_folder(options.data, options.prompt, model.card, options.size)
    unseen = [] if options.held_out is None else read_folder(options.held_out, options.prompt, model.card, options.size)
    print(finetune(model, samples, unseen, _config(options, folder), out))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gesso finetune", description=ABOUT, allow_abbrev=False)
    option = parser.add_argument
    option("model", metavar="MODEL", help="the model that learns, by name or path (`gesso models list`)")
    option("--data", type=Path, required=True, metavar="FOLDER", help="pictures; captions in .txt or .json beside each, or in a .jsonl")
    option("--out", type=Path, required=True, metavar="FILE", help="the LoRA, a .safetensors file")
    option("--prompt", metavar="WORDS", help="the caption of every picture, whatever lies beside it")
    option("--held-out", type=Path, metavar="FOLDER", help="pictures that are not learned from: the run ends when these get no better")
    option("--steps", type=above_zero(int), default=DEFAULTS.steps, help="steps in all; the rate falls towards them (default: %(default)s)")
    option("--rank", type=above_zero(int), default=DEFAULTS.rank, help="numbers between the two factors (default: %(default)s)")
    option("--alpha", type=float, help="the change is scaled by alpha / rank (default: as the rank)")
    option("--layers", choices=("attention", "all"), default=DEFAULTS.layers, help="which layers change (default: %(default)s)")
    option("--rate", type=above_zero(float), default=DEFAULTS.learning_rate, help="learning rate (default: %(default)s)")
    option("--warmup", type=int, default=DEFAULTS.warmup, help="steps until the rate is whole (default: %(default)s)")
    option("--batch", type=above_zero(int), default=DEFAULTS.batch, help="pictures a step (default: %(default)s)")
    option("--dropout", type=float, default=DEFAULTS.dropout, help="share of the steps without words (default: %(default)s)")
    option("--size", type=above_zero(int), metavar="N", help="learn at pictures of the area N x N (default: the model's own)")
    option("--tile", choices=("none", "x", "y", "xy"), default="none", help="the axes along which the pictures wrap around")
    option("--ema", type=float, default=0.0, help="decay of an average that is kept instead of the newest; 0: none (default: %(default)s)")
    option("--half", action="store_true", help="compute in bfloat16 on a processor too")
    option("--patience", type=int, default=6, help="looks at held-out pictures without a better one (default: %(default)s)")
    option("--seed", type=int, default=1, help="seed of what is drawn (default: %(default)s)")
    option("--threads", type=above_zero(int), default=1, help="processor threads (default: %(default)s)")
    option("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    option("--minutes", type=above_zero(float), help="stop after so many minutes; --continue goes on later")
    option("--run", type=Path, metavar="FOLDER", help="where checkpoints, record and sheets lie (default: beside --out)")
    option("--continue", dest="go_on", action="store_true", help="go on from the run's checkpoint")
    option("--force", action="store_true", help="write over --out")
    return parser


def _config(options: argparse.Namespace, folder: Path) -> FinetuneConfig:
    for name, least in (("steps", 1), ("rank", 1), ("batch", 1), ("warmup", 0), ("threads", 1), ("patience", 1)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name} must be {least} or more, not {getattr(options, name)}.", field=name)
    for name, most in (("rate", 1.0), ("dropout", 1.0), ("ema", 1.0)):
        if not 0 <= getattr(options, name) <= most:
            raise UsageError(f"--{name} must lie between 0 and {most:g}, not {getattr(options, name)}.", field=name)
    from gesso_plugins.learning.config import FinetuneConfig

    recipe = Recipe(
        steps=options.steps,
        rank=options.rank,
        alpha=float(options.rank) if options.alpha is None else options.alpha,
        layers=options.layers,
        learning_rate=options.rate,
        warmup=options.warmup,
        batch=options.batch,
        dropout=options.dropout,
        size=options.size,
        tile=options.tile,
        seed=options.seed,
        half=options.half,
    )
    return FinetuneConfig(
        out=folder,
        seed=options.seed,
        threads=options.threads,
        minutes=options.minutes,
        recipe=recipe,
        ema=options.ema,
        patience=options.patience,
    )


def _owned() -> tuple[ModelEntry, ...]:
    """The owner's models."""
    from gesso.library import ModelList
    from gesso.library.listing import NAME
    from gesso.wire.home import Home

    return ModelList(Home.find().models / NAME).read()
