"""Registers the operation `style` and the family of its networks, and calls their command with what they learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gesso.manifest import first_party
from gesso.plugin import CommandSpec, Operation, build_plugins, command, hookimpl
from gesso_plugins.style.style import Style

if TYPE_CHECKING:
    from gesso.model import Family

DATASET = "procedural"


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `style`."""
    return [Style()]


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Networks that give pictures the look of others."""
    from gesso_plugins.style.family import StyleFamily

    return [StyleFamily()]


@command("train style", help="Train the network that gives one picture the look of another, on pictures drawn for it.")
def train_style(argv: Sequence[str]) -> int:
    """`gesso train style`."""
    from gesso_plugins.style.learning.command import train

    return train(argv, build_plugins(first_party()).dataset(DATASET))


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train style`."""
    return [train_style]
