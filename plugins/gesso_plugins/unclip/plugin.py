"""Registers the family `unclip` and its training, given the pictures and the CLIP that it learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.manifest import first_party
from gesso.plugin import CommandSpec, build_plugins, command, hookimpl

if TYPE_CHECKING:
    from gesso.model import Family

DATASET, CLIP = "procedural", "clip"


@command("train unclip", help="Train an unCLIP, which makes pictures by way of their CLIP embedding, on procedural renders.")
def train(argv: Sequence[str]) -> int:
    """`gesso train unclip`."""
    from gesso_plugins.unclip.command import train as run

    return run(argv, build_plugins(first_party()).dataset(DATASET), shipped_clip() or Path(CLIP))


def shipped_clip() -> Path | None:
    """The directory of the CLIP that ships."""
    return next((entry.path for entry in first_party().models if entry.name == CLIP), None)


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Directories in Karlo's format."""
    from gesso_plugins.unclip.family import UnclipFamily

    return [UnclipFamily(shipped_clip())]


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso train unclip`."""
    return [train]
