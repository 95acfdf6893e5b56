"""The starter's commands, given the pictures that they learn from. It registers nothing: its weights run in the family of real
checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

from gesso.manifest import first_party
from gesso.plugin import CaptionedSource, build_plugins

DATASET = "procedural"


def train(argv: Sequence[str]) -> int:
    """`gesso train starter`."""
    from gesso_plugins.starter.command import train as run

    return run(argv, _source())


def evaluate(argv: Sequence[str]) -> int:
    """`gesso evaluate starter`."""
    from gesso_plugins.starter.command import evaluate as run

    return run(argv, _source())


def _source() -> CaptionedSource:
    return build_plugins(first_party()).dataset(DATASET)
