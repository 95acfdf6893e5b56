"""The starter's commands, given the pictures that they learn from, and its judge. Its weights run in the family of real checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gesso.manifest import first_party
from gesso.plugin import CaptionedSource, CommandSpec, build_plugins, command, hookimpl
from gesso_plugins.starter.judging import StarterJudge

DATASET = "procedural"


@command("train starter", help="Train the starter model on procedural renders.")
def train(argv: Sequence[str]) -> int:
    """`gesso train starter`."""
    from gesso_plugins.starter.command import train as run

    return run(argv, _source())


@command("evaluate starter", help="Measure the starter model with the fixed prompts and the classifier.")
def evaluate(argv: Sequence[str]) -> int:
    """`gesso evaluate starter`; with ``--data`` it is measured as every other model."""
    if any(word.partition("=")[0] == "--data" for word in argv):
        return build_plugins(first_party()).commands.get("evaluate")(["starter", *argv])
    from gesso_plugins.starter.command import evaluate as run

    return run(argv, _source())


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train starter` and `gesso evaluate starter`."""
    return [train, evaluate]


@hookimpl
def gesso_judges() -> Iterable[StarterJudge]:
    """Of the materials and colours of `procedural`."""
    return [StarterJudge()]


def _source() -> CaptionedSource:
    return build_plugins(first_party()).dataset(DATASET)
