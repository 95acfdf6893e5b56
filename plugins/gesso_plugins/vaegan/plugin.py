"""Registers the family `vaegan` and its training, given the pictures that it learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gesso.manifest import first_party
from gesso.plugin import CommandSpec, build_plugins, command, hookimpl

if TYPE_CHECKING:
    from gesso.model import Family

DATASET = "procedural"


@command("train vaegan", help="Train a VAE-GAN, which makes a picture in one forward, on procedural renders.")
def train(argv: Sequence[str]) -> int:
    """`gesso train vaegan`."""
    from gesso_plugins.vaegan.command import train as run

    return run(argv, build_plugins(first_party()).dataset(DATASET))


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Files of VAE-GANs."""
    from gesso_plugins.vaegan.family import VaeganFamily

    return [VaeganFamily()]


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train vaegan`."""
    return [train]
