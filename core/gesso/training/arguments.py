"""The options that every `gesso train` has, and its refusal to write over a run. Imports nothing heavy: `--help` must be instant."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)
LAYOUTS_ABOUT = "layouts of each material that it learns, always at the same place; 0: endless ones, anywhere (default: %(default)s)"


@dataclass(frozen=True)
class Training:
    """A training as its command line tells of it. steps: how many by default; None: until it is interrupted. beside: whether a second
    process can go on rendering. layouts: how many of each material are learned by default; None: nobody can choose. folders: whether
    pictures of one's own can be learned in the place of renders.
    """

    name: str
    about: str
    steps: int | None
    resumes: str = "go on from the run's checkpoint"
    beside: bool = True
    layouts: int | None = None
    folders: bool = False


def train_parser(training: Training) -> argparse.ArgumentParser:
    """A parser with the shared options; a training adds its own."""
    parser = argparse.ArgumentParser(prog=f"gesso train {training.name}", description=training.about, allow_abbrev=False)
    option = parser.add_argument
    until = "stop at this step" if training.steps is None else "steps in all; the learning rate falls towards them (default: %(default)s)"
    option("--out", type=Path, default=Path("runs") / training.name, help="folder of the run (default: %(default)s)")
    option("--continue", dest="go_on", action="store_true", help=training.resumes)
    option("--minutes", type=above_zero(float), help="stop after so many minutes; --continue goes on later")
    option("--steps", type=above_zero(int), default=training.steps, help=until)
    option("--seed", type=int, default=1, help="seed of data and weights (default: %(default)s)")
    option("--threads", type=above_zero(int), default=1, help="processor threads (default: %(default)s)")
    if training.beside:
        about = "1: a second process goes on rendering (default: %(default)s)"
        option("--workers", type=int, choices=(0, 1), default=1, help=about)
    if training.layouts is not None:
        option("--layouts", type=not_negative, default=training.layouts, help=LAYOUTS_ABOUT)
    if training.folders:
        option("--materials", nargs="+", metavar="NAME", help="what is learned of renders (default: twelve of the starter's)")
        option("--data", type=Path, metavar="FOLDER", help="learn this folder's pictures with their captions in the place of renders")
        option("--prompt", metavar="WORDS", help="with --data: the caption of every picture, whatever lies beside it")
    return parser


def refuse_mixture(parser: argparse.ArgumentParser, options: argparse.Namespace, training: Training) -> None:
    """End with a sentence where options of renders come with a folder, or those of a folder without one."""
    if options.data is None and options.prompt is not None:
        parser.error("--prompt is for a folder of pictures: add --data, or leave it out")
    if options.data is not None and (options.materials or options.layouts != training.layouts):
        parser.error("--materials and --layouts choose among renders: leave them out with --data")


def share(text: str) -> float:
    """What reads a share of an option, from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {text}")
    return value


def not_negative(text: str) -> int:
    """What reads a whole number of an option that may be 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be below 0, not {text}")
    return value


def above_zero(number: type[Number]) -> Callable[[str], Number]:
    """What reads a number of an option that must be above zero."""

    def read(text: str) -> Number:
        value = number(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
        return value

    read.__name__ = number.__name__  # argparse says "invalid int value"
    return read


def has_checkpoint(folder: Path) -> bool:
    """Whether a run can go on in `folder`."""
    return (folder / "checkpoint" / "state.json").exists()


def refuse_overwriting(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a sentence where the folder holds a run and `--continue` was not given."""
    if has_checkpoint(options.out) and not options.go_on:
        parser.error(f"{options.out} holds a run: add --continue to go on with it, or choose another --out")
