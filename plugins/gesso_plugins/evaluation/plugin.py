"""Registers the command `gesso evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gesso.plugin import CommandSpec, command, hookimpl


@command("evaluate", help="Measure what a model makes of the captions of a data set: distances, scores, speed.")
def evaluate(argv: Sequence[str]) -> int:
    """`gesso evaluate MODEL --data DATA`."""
    from gesso_plugins.evaluation.command import run

    return run(argv)


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso evaluate`."""
    return [evaluate]
