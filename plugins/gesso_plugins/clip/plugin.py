"""CLIP's commands, given the pictures that they learn from."""

from __future__ import annotations

from collections.abc import Sequence

from gesso.manifest import first_party
from gesso.plugin import CaptionedSource, build_plugins

DATASET = "procedural"


def train(argv: Sequence[str]) -> int:
    """`gesso train clip`."""
    from gesso_plugins.clip.command import train as run

    return run(argv, _source())


def evaluate(argv: Sequence[str]) -> int:
    """`gesso evaluate clip`."""
    from gesso_plugins.clip.command import evaluate as run

    return run(argv, _source())


def _source() -> CaptionedSource:
    return build_plugins(first_party()).dataset(DATASET)
