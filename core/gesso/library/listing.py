"""The owner's list of models, `models.json`: the one reader and writer of it, for command line, daemon and worker. It never touches the
models' own files.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from gesso import statefiles
from gesso.errors import ModelError
from gesso.library.recognition import Layouts, read_layouts
from gesso.manifest import ModelEntry, first_party

SCHEMA = 1
NAME = "models.json"


class ModelList:
    """One `models.json`. Running daemons look at its time stamp and take changes in at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> statefiles.Stamp | None:
        """What differs once the list has changed."""
        return statefiles.stamp(self.path)

    def read(self) -> tuple[ModelEntry, ...]:
        """The models; none where there is no file, ModelError where it cannot be read."""
        try:
            content = json.loads(self.path.read_bytes())
            if isinstance(content, list):  # as a person may write it: just the models
                content = {"schema": SCHEMA, "models": content}
            if content["schema"] != SCHEMA:
                raise ValueError(f"it has schema {content['schema']!r}, this version reads {SCHEMA}")
            return tuple(_completed(_entry(entry)) for entry in content["models"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise ModelError(
                f"The list of models {self.path} cannot be read: {type(fault).__name__}: {fault}.",
                hint="Move it away, then add your models again with `gesso models add`; the models themselves are not touched.",
            ) from fault

    def named(self, name: str) -> ModelEntry | None:
        """The model of that name or title; case does not count."""
        models, wanted = self.read(), name.casefold()
        return next((m for m in models if m.name == wanted), None) or next((m for m in models if m.title.casefold() == wanted), None)

    def put(self, entries: Iterable[ModelEntry]) -> None:
        """Take models in; one of the same name is replaced."""
        with self._writing() as before:
            known = {entry.name: entry for entry in before}
            known.update({entry.name: entry for entry in entries})
            self._save(known.values())

    def drop(self, names: Iterable[str]) -> None:
        """Forget models."""
        gone = frozenset(names)
        with self._writing() as before:
            self._save(entry for entry in before if entry.name not in gone)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[ModelEntry, ...]]:
        """The only writer; what the list says once the lock is held."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with statefiles.locked(self.path.parent):
            yield self.read()

    def _save(self, entries: Iterable[ModelEntry]) -> None:
        statefiles.write(self.path, {"schema": SCHEMA, "models": [_content(entry) for entry in entries]})


def _entry(entry: Mapping[str, Any]) -> ModelEntry:
    return ModelEntry(
        name=str(entry["name"]),
        family=str(entry["family"]),
        title=str(entry.get("title", entry["name"])),
        path=Path(entry["path"]) if entry.get("path") else None,
        capabilities=tuple(entry.get("capabilities", ())),
        licence=str(entry.get("licence", "")),
        defaults=dict(entry.get("defaults", {})),
        limits=dict(entry.get("limits", {})),
        kind=str(entry.get("kind", "checkpoint")),
        layout=str(entry.get("layout", "")),
    )


def _completed(entry: ModelEntry) -> ModelEntry:
    """A model that no family ran when it was added is run by the family that its layout names by now."""
    layout = _layouts().named(entry.layout) if entry.layout and not entry.family else None
    return entry if layout is None else replace(entry, family=layout.family, capabilities=layout.capabilities)


@cache
def _layouts() -> Layouts:
    return read_layouts(first_party())


def _content(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "layout": entry.layout,
        "family": entry.family,
        "title": entry.title,
        "path": None if entry.path is None else str(entry.path),
        "capabilities": list(entry.capabilities),
        "licence": entry.licence,
        "defaults": dict(entry.defaults),
        "limits": dict(entry.limits),
    }


def name_for(stem: str, taken: Iterable[str]) -> str:
    """A name as requests use it, made of a file's own: lower case, no spaces, none that is taken."""
    plain = re.sub(r"[^a-z0-9_.-]+", "-", stem.casefold()).strip("-._") or "model"
    used = frozenset(taken)
    if plain not in used:
        return plain
    return next(name for n in range(2, len(used) + 3) if (name := f"{plain}-{n}") not in used)
