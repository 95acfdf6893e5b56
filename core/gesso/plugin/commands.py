"""Commands: what a plugin registers to add subcommands to `gesso`. They run in the process of the command line, not in the daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

CommandFunction = Callable[[Sequence[str]], int]
"""Takes the words after the command's name and returns the exit status."""


@dataclass(frozen=True)
class CommandSpec:
    """A subcommand. ``name`` may be several words (``train starter``). Help is compiled, so that `gesso --help` imports no plugin."""

    name: str
    function: CommandFunction
    help: str

    @property
    def target(self) -> str:
        """``module:name`` of the decorated function, which must stand at the top of its module."""
        return f"{self.function.__module__}:{self.function.__name__}"

    def __call__(self, words: Sequence[str]) -> int:
        """The function itself."""
        return self.function(words)


def command(name: str, *, help: str) -> Callable[[CommandFunction], CommandSpec]:
    """Turn a function of words into a `CommandSpec`."""
    return lambda function: CommandSpec(name, function, help)
