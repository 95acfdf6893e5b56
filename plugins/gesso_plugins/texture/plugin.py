"""Registers the operation `texture` and the family of networks that find maps, and calls their commands with what they learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest
from gesso.manifest import first_party
from gesso.plugin import CommandSpec, Operation, build_plugins, command, hookimpl
from gesso.plugin.datasets import MappedSource
from gesso_plugins.texture.texture import Texture

if TYPE_CHECKING:
    from gesso.model import Family

DATASET = "procedural"


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `texture`."""
    return [Texture()]


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Networks that find the maps of pictures."""
    from gesso_plugins.texture.maps.family import MapsFamily

    return [MapsFamily()]


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
