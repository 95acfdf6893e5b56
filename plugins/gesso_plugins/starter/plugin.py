"""The starter's commands, given the pictures that they learn from. Its weights run in the family of real checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gesso.manifest import first_party
from gesso.plugin import CaptionedSource, CommandSpec, build_plugins, command, hookimpl

DATASET = "procedural"


@command("train starter", help="Train the starter model on procedural renders.")
def train(argv: Sequence[str]) -> int:
    """`gesso train starter`."""
    from gesso_plugins.starter.command import train as run

    return run(argv, _source())


@command("evaluate starter", help="Measure the starter model with the fixed prompts and the classifier.")
def evaluate(argv: Sequence[str]) -> int:
    """`gesso evaluate starter`."""
    from gesso_plugins.starter.command import evaluate as run

    return run(argv, _source())


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train starter` and `gesso evaluate starter`."""
    return [train, evaluate]


def _source() -> CaptionedSource:
    return build_plugins(first_party()).dataset(DATASET)
