"""The settings that hold now: flags over environment over file over defaults. What is wrong is named by file, line and key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gesso.config.keys import BY_NAME, KEYS, Key, Value, key, nearest
from gesso.config.text import line_of
from gesso.errors import ConfigError

Source = Literal["flag", "environment", "file", "default"]


@dataclass(frozen=True)
class Settings:
    """A value for every key, and where each comes from."""

    path: Path
    values: Mapping[str, Value]
    sources: Mapping[str, Source]

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def text(self, name: str) -> str:
        """A text."""
        return str(self.values[name])

    def integer(self, name: str) -> int:
        """A whole number, or bytes."""
        return int(self.values[name])

    def number(self, name: str) -> float:
        """A number, or seconds."""
        return float(self.values[name])

    def flag(self, name: str) -> bool:
        """A yes or no."""
        return bool(self.values[name])


def load(path: Path, *, flags: Mapping[str, Value] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read everything; ConfigError. A file that is not there is an empty one."""
    environ = os.environ if environ is None else environ
    values: dict[str, Value] = {entry.name: entry.default for entry in KEYS}
    sources: dict[str, Source] = dict.fromkeys(values, "default")
    for name, value in _from_file(path).items():
        values[name], sources[name] = value, "file"
    for entry in KEYS:
        if environ.get(entry.variable):
            values[entry.name], sources[entry.name] = _from_words(entry, environ[entry.variable], entry.variable), "environment"
    for name, given in (flags or {}).items():
        entry = key(name)
        values[name] = _from_words(entry, given, name) if isinstance(given, str) else _checked(entry, given, name)
        sources[name] = "flag"
    return Settings(path, values, sources)


def flags(words: Iterable[str]) -> dict[str, Value]:
    """``["storage.limit=1GiB"]`` -> values by key; ConfigError."""
    found: dict[str, Value] = {}
    for word in words:
        name, equals, given = word.partition("=")
        if not equals:
            raise ConfigError(f"{word[:80]!r} is not of the form KEY=VALUE.", field="set", hint="For example: --set storage.limit=10GiB")
        found[name.strip()] = _from_words(key(name.strip()), given, name.strip())
    return found


def _from_words(entry: Key, words: str, where: str) -> Value:
    try:
        return entry.read(words)
    except ValueError as fault:
        raise ConfigError(f"{where} {fault}, not {words[:80]!r}.", field=entry.name) from None


def _checked(entry: Key, given: Value, where: str) -> Value:
    try:
        return entry.taken_from(given)
    except ValueError as fault:
        raise ConfigError(f"{where} {fault}, not {given!r}.", field=entry.name) from None


def _from_file(path: Path) -> dict[str, Value]:
    try:
        raw = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} cannot be read: {fault}.", hint="Make it a text file in UTF-8 that you may read.") from fault
    return parse(raw, path)


def parse(raw: str, path: Path) -> dict[str, Value]:
    """What a file says, by the names of keys; ConfigError names file, line and key. Only who has a file pays for the reader.

    What stands under ``[plugins.NAME]`` is the plugin's own, and is read by the worker.
    """
    import tomllib

    try:
        tables = tomllib.loads(raw)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{path} is not TOML: {fault}.", hint="Its form is described in docs/configuration.md.") from fault
    found: dict[str, Value] = {}
    plugins = tables.pop("plugins", {})
    if not (isinstance(plugins, dict) and all(isinstance(own, dict) for own in plugins.values())):
        hint = "Write [plugins.NAME] above its settings."
        raise ConfigError(f"{path}: plugins holds one table for each plugin.", field="plugins", hint=hint)
    for name, given in _flat(tables).items():
        place = f"{path}, line {line_of(raw, name)}"
        entry = BY_NAME.get(name)
        if entry is None:
            raise ConfigError(f"{place}: there is no setting {name[:80]!r}.", field=name[:80], hint=nearest(name))
        try:
            found[name] = entry.taken_from(given)
        except ValueError as fault:
            raise ConfigError(f"{place}: {name} {fault}, not {str(given)[:80]!r}.", field=name) from None
    return found


def _flat(tables: Mapping[str, Any], before: str = "") -> dict[str, object]:
    """``{"a": {"b": 1}}`` -> ``{"a.b": 1}``; an empty table says nothing."""
    found: dict[str, object] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{before}{name}."))
        else:
            found[f"{before}{name}"] = value
    return found
