"""Registers the operation `learn` and the command `gesso finetune`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gesso.plugin import CommandSpec, Operation, command, hookimpl


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `learn`."""
    from gesso_plugins.learning.learn import Learn

    return [Learn()]


@command("finetune", help="Learn a LoRA for a model from a folder of pictures.")
def finetune(argv: Sequence[str]) -> int:
    """`gesso finetune`."""
    from gesso_plugins.learning.command import run

    return run(argv)


@hookimpl
def gesso_commands() -> Iterable[CommandSpec]:
    """`gesso finetune`."""
    return [finetune]
