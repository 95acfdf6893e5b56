"""CLIP's commands, given the pictures that they learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gesso.manifest import first_party
from gesso.plugin import CaptionedSource, CommandSpec, build_plugins, command, hookimpl

DATASET = "procedural"


@command("train clip", help="Train the small CLIP on procedural renders.")
def train(argv: Sequence[str]) -> int:
    """`gesso train clip`."""
    from gesso_plugins.clip.command import train as run

    return run(argv, _source())


@command("evaluate clip", help="Measure the small CLIP: retrieval, colour, unknown materials, against a colour histogram.")
def evaluate(argv: Sequence[str]) -> int:
    """`gesso evaluate clip`."""
    from gesso_plugins.clip.command import evaluate as run

    return run(argv, _source())


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train clip` and `gesso evaluate clip`."""
    return [train, evaluate]


def _source() -> CaptionedSource:
    return build_plugins(first_party()).dataset(DATASET)
