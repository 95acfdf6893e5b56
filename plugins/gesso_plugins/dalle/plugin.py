"""Registers the family `dalle`, its previews and its training, given the pictures that it learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gesso.manifest import first_party
from gesso.plugin import CommandSpec, PreviewContext, PreviewSpec, build_plugins, command, hookimpl, preview

if TYPE_CHECKING:
    from gesso.model import Family
    from gesso.plugin.previews import Draw

DATASET = "procedural"


@command("train dalle", help="Train a discrete autoencoder and a transformer that draws its tokens, on procedural renders.")
def train(argv: Sequence[str]) -> int:
    """`gesso train dalle`."""
    from gesso_plugins.dalle.command import train as run

    return run(argv, build_plugins(first_party()).dataset(DATASET))


@preview("tokens", title="Tokens so far", order=40)
def tokens(ctx: PreviewContext) -> Draw | None:
    """Each token that is drawn as it looks alone; the others are grey."""
    from gesso_plugins.dalle.family import DalleModel
    from gesso_plugins.dalle.previews import mosaic

    return mosaic(ctx.model.swatches()) if isinstance(ctx.model, DalleModel) else None


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Files of DALL-E's first kind."""
    from gesso_plugins.dalle.family import DalleFamily

    return [DalleFamily()]


@hookimpl
def gesso_previews() -> Iterable[PreviewSpec]:
    """Pictures that are half drawn."""
    return [tokens]


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train dalle`."""
    return [train]
