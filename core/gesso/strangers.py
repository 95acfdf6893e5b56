"""The plugins that the owner added: which there are, which are on, and whether they are still what was enabled. It reads and writes files
and never imports a plugin.

A plugin is on while its record in `plugins.json` says so and its content has the hash that stands there. Only commands of the owner write
here; no message of the protocol does.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from gesso import statefiles
from gesso.errors import PluginError
from gesso.manifest import ModelEntry, PluginEntry

SCHEMA = 1
STATE_NAME = "plugins.json"
STRIKES = 2
"""A plugin is turned off after it has ended the worker so often while it was imported; once may have been somebody else's doing."""

Source = Literal["file", "distribution"]
Risk = Literal["imported", "started"]
RISKS: tuple[Risk, ...] = get_args(Risk)
"""When a plugin's code runs that is no job's: one that ends the process then would end the next one too."""


@dataclass(frozen=True)
class Record:
    """What the owner decided about one plugin, and what its check found. ``reason``: why it is off, where nobody turned it off.
    ``asks``: the extras, permissions and memory that it declared when it was enabled.
    ``environment``: the folder beside the list that holds its own virtual environment, where it has one.
    """

    name: str
    source: Source
    enabled: bool
    version: str
    sha256: str
    module: str
    distribution: str = ""
    title: str = ""
    summary: str = ""
    licence: str = ""
    reason: str = ""
    provides: Mapping[str, Sequence[str]] = field(default_factory=dict)
    models: Sequence[Mapping[str, Any]] = ()
    asks: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""

    @property
    def entry(self) -> PluginEntry:
        """The plugin as a manifest declares one; names are its own, without the plugin's name before them."""
        provides = {kind: tuple(names) for kind, names in self.provides.items()}
        return PluginEntry(self.name, self.module, self.title or self.name, self.summary, self.licence, provides)


@dataclass(frozen=True)
class Stranger:
    """A plugin that may be imported now. ``code`` is a single file's content exactly as it was hashed.

    ``environment``: it is to be imported there and nowhere else.
    """

    entry: PluginEntry
    origin: Path | None = None
    code: bytes | None = None
    models: tuple[ModelEntry, ...] = ()
    sha256: str = ""
    environment: Path | None = None


@dataclass(frozen=True)
class Standing:
    """A record and whether its plugin is in use. ``notice`` says what the owner should know, else it is empty."""

    record: Record
    on: bool
    notice: str = ""


class Shelf:
    """The plugins folder of one state directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_file = folder / STATE_NAME

    def source(self, name: str) -> Path:
        """Where a single file plugin lies."""
        return self.folder / f"{name}.py"

    def compiled(self, name: str) -> Path:
        """Where its compiled schemas and catalogues lie."""
        return self.folder / f"{name}.compiled.json"

    def records(self) -> dict[str, Record]:
        """What is recorded, by name; PluginError where the file cannot be read."""
        try:
            content = json.loads(self.state_file.read_bytes())
            if content["schema"] != SCHEMA:
                raise ValueError(f"it has schema {content['schema']!r}, this version reads {SCHEMA}")
            return {name: Record(name=name, **fields) for name, fields in content["plugins"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise PluginError(
                f"The list of plugins {self.state_file} cannot be read: {fault}.",
                hint="Move it away; then add or enable your plugins again.",
            ) from fault

    def put(self, record: Record, compiled: Mapping[str, Any] | None = None) -> None:
        """Record a plugin, and write its compiled schemas before; daemons take it from here within a second."""
        with statefiles.locked(self.folder):
            if compiled is not None:
                statefiles.write(self.compiled(record.name), compiled)
            self._save({**self.records(), record.name: record})

    def remove(self, name: str) -> None:
        """Forget a plugin, with its file and its compiled schemas where they are here."""
        with statefiles.locked(self.folder):
            records = self.records()
            del records[name]
            self._save(records)
            for path in (self.source(name), self.compiled(name), *(self._mark(name, what) for what in RISKS)):
                path.unlink(missing_ok=True)
        from gesso import environments  # who only looks at the list needs none of it

        environments.remove(name, self.folder)

    def touch(self) -> None:
        """Make running daemons look again."""
        with statefiles.locked(self.folder):
            self._save(self.records())

    def standings(self) -> list[Standing]:
        """Every record with what is true of it now."""
        return [self.standing(record) for _, record in sorted(self.records().items())]

    def standing(self, record: Record) -> Standing:
        """Whether a plugin is in use; it is not where its content has changed."""
        if not record.enabled:
            return Standing(record, False, record.reason)
        try:
            found = self.content_hash(record)
        except PluginError as fault:
            return Standing(record, False, f"{fault.message} It is off.")
        if found != record.sha256:
            return Standing(
                record,
                False,
                f"The plugin {record.name!r} has changed since it was enabled, and is off. Look at what changed, then run "
                f"`gesso plugins enable {record.name}`.",
            )
        return Standing(record, True)

    def content_hash(self, record: Record) -> str:
        """SHA-256 of what would be imported."""
        if record.source == "file":
            return hashlib.sha256(self._code(record)).hexdigest()
        from gesso import distributions

        return distributions.content_hash(distributions.find(record.name, record.distribution))

    def stranger(self, standing: Standing) -> Stranger | None:
        """What may be imported of a plugin that is on; None where it changed at this very moment."""
        record = standing.record
        models = tuple(_model(entry) for entry in record.models)
        if record.source == "distribution":
            environment = self.folder / record.environment if record.environment else None
            return Stranger(record.entry, models=models, sha256=record.sha256, environment=environment)
        code = self._code(record)
        if hashlib.sha256(code).hexdigest() != record.sha256:
            return None
        return Stranger(record.entry, self.source(record.name), code, models, record.sha256)

    def usable(self) -> tuple[list[Stranger], list[str]]:
        """(plugins to import, notices about those that are off for a reason)."""
        standings = self.standings()
        found = [self.stranger(standing) for standing in standings if standing.on]
        return [stranger for stranger in found if stranger is not None], [standing.notice for standing in standings if standing.notice]

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """What differs once the list or a single file has changed; cheap enough to look at twice a second."""
        return tuple(
            (path.name, status.st_mtime_ns, status.st_size)
            for path in (self.state_file, *sorted(self.folder.glob("*.py")))
            if (status := _status(path)) is not None
        )

    @contextlib.contextmanager
    def risking(self, name: str, what: Risk) -> Iterator[None]:
        """Around a plugin's import or its start in a worker: a process that ends in between leaves a strike against it."""
        mark = self._mark(name, what)
        strikes = int(mark.read_text() or "0") if mark.exists() else 0
        mark.write_text(str(strikes + 1), encoding="ascii")
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def judge(self) -> list[str]:
        """Turn off what has ended the worker too often while it was imported or started; sentences about these."""
        said = []
        for (name, record), what in itertools.product(self.records().items(), RISKS):
            mark = self._mark(name, what)
            if record.enabled and mark.exists() and int(mark.read_text() or "0") >= STRIKES:
                reason = f"The plugin {name!r} ended the worker while it was {what}, {STRIKES} times, and is off."
                self.put(replace(record, enabled=False, reason=reason))
                mark.unlink()
                said.append(reason)
        return said

    def _mark(self, name: str, what: Risk) -> Path:
        return self.folder / f"{name}.{what}"

    def _code(self, record: Record) -> bytes:
        path = self.source(record.name)
        try:
            return path.read_bytes()
        except OSError as fault:
            raise PluginError(f"The plugin file {path} cannot be read: {fault.strerror}.", details={"plugin": record.name}) from fault

    def _save(self, records: Mapping[str, Record]) -> None:
        plugins = {name: {key: value for key, value in asdict(record).items() if key != "name"} for name, record in records.items()}
        statefiles.write(self.state_file, {"schema": SCHEMA, "plugins": plugins})


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _model(entry: Mapping[str, Any]) -> ModelEntry:
    values = {**entry, "path": Path(entry["path"]) if entry.get("path") else None, "capabilities": tuple(entry["capabilities"])}
    return ModelEntry(**values)
