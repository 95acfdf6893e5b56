"""Registers the operation `texture`, and calls the maps network's commands with the renders that it learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gesso.errors import InvalidRequest
from gesso.manifest import first_party
from gesso.plugin import CommandSpec, Operation, build_plugins, command, hookimpl
from gesso.plugin.datasets import MappedSource
from gesso_plugins.texture.texture import Texture

DATASET = "procedural"


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `texture`."""
    return [Texture()]


@command("train maps", help="Train the network that finds material maps in pictures, on procedural renders.")
def train_maps(argv: Sequence[str]) -> int:
    """`gesso train maps`."""
    from gesso_plugins.texture.maps.command import train

    return train(argv, _source())


@command("evaluate maps", help="Measure the maps network on materials it never saw, against brightness taken for height.")
def evaluate_maps(argv: Sequence[str]) -> int:
    """`gesso evaluate maps`."""
    from gesso_plugins.texture.maps.command import evaluate

    return evaluate(argv, _source())


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train maps` and `gesso evaluate maps`."""
    return [train_maps, evaluate_maps]


def _source() -> MappedSource:
    source = build_plugins(first_party()).dataset(DATASET)
    if not isinstance(source, MappedSource):
        raise InvalidRequest(f"The renders of {source.name!r} come without maps.")
    return source
