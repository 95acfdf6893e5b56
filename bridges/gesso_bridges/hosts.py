"""What a bridge tells about its host application: where it is installed and which files it needs there. The manifest's `[[bridge]]` tables
name the bridges; nothing here knows one of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gesso.errors import PluginError, UsageError
from gesso.manifest import BridgeEntry, first_party


@dataclass(frozen=True)
class Installation:
    """A host application that was found. ``folder`` is the one below which the bridge's files belong."""

    title: str
    folder: Path


class Host(Protocol):
    """A host application, as its bridge knows it."""

    title: str
    """How users call it."""
    hint: str
    """What to do in the host once the files are there: one sentence."""
    program: str
    """What to install where no installation is found."""

    def installations(self, environ: Mapping[str, str]) -> list[Installation]:
        """Every one of this user's, in the order in which versions grew."""
        ...

    def files(self) -> dict[str, bytes]:
        """Path below an installation's folder -> content. The same files are the content of the packed file."""
        ...

    def packed_name(self) -> str:
        """The file name of what `gesso bridge pack` writes."""
        ...


def entries() -> tuple[BridgeEntry, ...]:
    """The bridges that there are, unimported."""
    return first_party().bridges


def host(name: str) -> Host:
    """The host of this name; raises UsageError, or PluginError for an entry that leads nowhere."""
    entry = next((entry for entry in entries() if entry.name == name), None)
    if entry is None:
        known = ", ".join(entry.name for entry in entries()) or "none"
        raise UsageError(f"There is no bridge {name!r}.", field="host", hint=f"Bridges: {known}.")
    module, _, attribute = entry.run.partition(":")
    found = getattr(importlib.import_module(module), attribute, None)
    if found is None:
        raise PluginError(f"The bridge {name!r} has no {entry.run}.", hint="Install Gesso again.")
    made: Host = found()
    return made
