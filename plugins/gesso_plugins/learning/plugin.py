"""Registers the command `gesso finetune`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gesso.plugin import CommandSpec, command, hookimpl


@command("finetune", help="Learn a LoRA for a model from a folder of pictures.")
def finetune(argv: Sequence[str]) -> int:
    """`gesso finetune`."""
    from gesso_plugins.learning.command import run

    return run(argv)


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso finetune`."""
    return [finetune]
