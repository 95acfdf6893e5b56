"""Registers the commands `gesso bridge ...`. It imports no host and copies nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gesso.plugin import CommandSpec, command, hookimpl


@command("bridge list", help="Show the bridges, the programs they were found for, and where they are installed.")
def listing(argv: Sequence[str]) -> int:
    """`gesso bridge list`."""
    from gesso_bridges import commands

    return commands.listing(argv)


@command("bridge install", help="Copy a bridge into its program: Blender, Krita.")
def install(argv: Sequence[str]) -> int:
    """`gesso bridge install HOST`."""
    from gesso_bridges import commands

    return commands.install(argv)


@command("bridge update", help="Bring an installed bridge to this version of Gesso.")
def update(argv: Sequence[str]) -> int:
    """`gesso bridge update [HOST]`."""
    from gesso_bridges import commands

    return commands.update(argv)


@command("bridge uninstall", help="Take a bridge out of its program again.")
def uninstall(argv: Sequence[str]) -> int:
    """`gesso bridge uninstall HOST`."""
    from gesso_bridges import commands

    return commands.uninstall(argv)


@command("bridge pack", help="Write a bridge as one file, to be installed by hand from within the program.")
def pack(argv: Sequence[str]) -> int:
    """`gesso bridge pack HOST`."""
    from gesso_bridges import commands

    return commands.pack(argv)


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso bridge list`, `install`, `update`, `uninstall` and `pack`."""
    return [listing, install, update, uninstall, pack]
