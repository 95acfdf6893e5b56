"""What the owner's plugins add to the surface: the compiled files of those that are on, read again when the owner changes something. Only
files are read here; no plugin is imported.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gesso.errors import PluginError
from gesso.strangers import Shelf, Stranger

_log = logging.getLogger(__name__)
Stamp = tuple[tuple[str, int, int], ...]


class Strangers:
    """``read`` reads one compiled schema file; ``changed`` is called when there is something new that a worker must import."""

    def __init__(self, folder: Path, read: Callable[[Path], Mapping[str, Any]]) -> None:
        self.documents: list[Mapping[str, Any]] = []
        self.changed: Callable[[], None] = lambda: None
        self._shelf = Shelf(folder)
        self._read = read
        self._stamp: Stamp | None = None

    def refresh(self) -> bool:
        """Look whether the owner changed something since the last time; True where the documents were read anew."""
        stamp = self._shelf.stamp()
        if stamp == self._stamp:
            return False
        first = self._stamp is None
        self._stamp = stamp
        self.documents = self._on()
        if not first:
            self.changed()
        return True

    def _on(self) -> list[Mapping[str, Any]]:
        try:
            found, notices = self._shelf.usable()
        except PluginError as fault:
            _log.warning("no plugin of the owner is in use: %s", fault.message)
            return []
        for notice in notices:
            _log.warning("%s", notice)
        return [document for stranger in found if (document := self._document(stranger)) is not None]

    def _document(self, stranger: Stranger) -> Mapping[str, Any] | None:
        """Its compiled file; None where that cannot be used, or claims what is not under the plugin's own name."""
        name = stranger.entry.name
        try:
            document = self._read(self._shelf.compiled(name))
            names = [*document["operations"], *(entry["name"] for entries in document["catalogues"].values() for entry in entries)]
        except (PluginError, KeyError, TypeError) as fault:
            _log.warning("the plugin %s is not in use: %s", name, fault)
            return None
        if taken := [claim for claim in names if not str(claim).startswith(f"{name}.")]:
            _log.warning("the plugin %s is not in use: its compiled file claims %s", name, json.dumps(taken[0]))
            return None
        return document
