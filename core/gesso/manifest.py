"""Reads `plugin_manifest.toml`: which plugins there are and what they provide, without importing any of them."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gesso.errors import PluginError

SCHEMA = 1
FILE_NAME = "plugin_manifest.toml"
KINDS = (
    "samplers", "schedules", "guidances", "operations", "families", "scorers", "styles", "upscalers", "previews", "codecs", "filters",
    "commands", "lifecycles", "datasets", "judges",
)  # fmt: skip
"""What a plugin may provide, each by its names."""
ISOLATED_KINDS = ("samplers", "schedules", "operations")
"""What a plugin with an environment of its own may provide: what crosses between processes as data."""

PERMISSIONS = ("network", "files", "subprocess")
"""What a plugin may say that it does beyond computing. It is shown to the owner, not enforced: a plugin is not a sandbox."""
MEMORY = ("none", "small", "medium", "large")
"""What a plugin needs of the device's memory, beside the models of others: nothing, up to 1 GiB, up to 8 GiB, more."""

_DEFAULTS: Mapping[str, type] = {
    "sampler": str, "schedule": str, "steps": int, "guidance": float, "width": int, "height": int, "preview_vae": str,
    "temperature": float, "top_p": float,
}  # fmt: skip
_LIMITS: Mapping[str, type] = {"smallest": int, "largest": int, "multiple": int}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_ISOLATION = re.compile(r"none|venv")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][^\n]*")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TARGET = re.compile(rf"{_MODULE.pattern}:[A-Za-z_]\w*")
_RESOURCE = re.compile(rf"{_MODULE.pattern}:[\w./-]+")


@dataclass(frozen=True)
class PluginEntry:
    """One plugin as declared. ``provides`` maps a kind (samplers, schedules, operations, families, ...) to names; ``permissions`` and
    ``memory`` are what it asks for; ``recognises`` names the file of tables by which `gesso.library` tells models apart.
    ``isolation``: "venv" where it runs in a process and a virtual environment of its own, into which pip installs ``requires``.
    """

    name: str
    module: str
    title: str
    summary: str
    licence: str
    provides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    memory: str = "none"
    recognises: str = ""
    isolation: str = "none"
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """One model as declared or added by its owner. ``path`` is a directory or file, or None for models without weights.
    ``kind`` and ``layout`` are those of `gesso.library.recognition`.

    ``defaults`` and ``limits`` overlay what the family finds in the model's own files; their keys are those of `gesso.model.Defaults` and
    `gesso.model.Limits`.
    """

    name: str
    family: str
    title: str
    path: Path | None
    capabilities: tuple[str, ...]
    licence: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    kind: str = "checkpoint"
    layout: str = ""


@dataclass(frozen=True)
class BridgeEntry:
    """A bridge into a host application: ``run`` is ``module:function``."""

    name: str
    help: str
    run: str


@dataclass(frozen=True)
class Manifest:
    """A whole manifest file."""

    path: str
    operations_resource: str
    plugins: tuple[PluginEntry, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    bridges: tuple[BridgeEntry, ...] = ()

    @cached_property
    def operations_file(self) -> Path:
        """Where the compiled schemas of all operations lie."""
        return resource(self.operations_resource)


def resource(name: str) -> Path:
    """``package:file`` -> path; no package is imported, not even an empty parent.

    A namespace package is searched in all its places; the first that has the file wins, else the first place.
    """
    package, _, file = name.partition(":")
    top, *inner = package.split(".")
    spec = importlib.util.find_spec(top)
    folders = [Path(place, *inner) for place in (spec.submodule_search_locations or ()) if Path(place, *inner).is_dir()] if spec else []
    if not folders:
        raise PluginError(f"The manifest names the resource {name!r}, but the package {package!r} is not installed.")
    return next((folder / file for folder in folders if (folder / file).exists()), folders[0] / file)


def read(path: Path) -> Manifest:
    """Parse and check one manifest file; a fault is a PluginError that names file, line, table, field and what is allowed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise PluginError(f"The plugin manifest {path} cannot be read: {fault.strerror}.") from fault
    except UnicodeDecodeError as fault:
        raise PluginError(f"The plugin manifest {path} is not UTF-8 text.") from fault
    return parse(text, str(path))


def first_party() -> Manifest:
    """The manifest that ships with Gesso: beside pyproject.toml in a checkout, else from the installed distribution."""
    beside = Path(__file__).resolve().parents[2] / FILE_NAME
    if beside.is_file():
        return read(beside)
    for found in Path(__file__).resolve().parents[1].glob(f"gesso-*.dist-info/extra_metadata/{FILE_NAME}"):
        return parse(found.read_text(encoding="utf-8"), FILE_NAME)
    from importlib import metadata  # costs 30 ms, and is needed only where a distribution lies apart from its package

    try:
        text = metadata.distribution("gesso").read_text(f"extra_metadata/{FILE_NAME}")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        raise PluginError(f"Gesso's own {FILE_NAME} is neither at {beside} nor in the installed distribution; install Gesso again.")
    return parse(text, FILE_NAME)


def parse(text: str, path: str) -> Manifest:
    """The manifest in ``text``; ``path`` is only named in errors, and is where relative model paths start."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise PluginError(f"The plugin manifest {path} is not valid TOML: {fault}.", details={"path": path}) from fault
    schema = content.get("schema")
    if schema != SCHEMA:
        said = "has no `schema`" if schema is None else f"has schema {schema!r}"
        raise PluginError(f"The plugin manifest {path} {said}; this Gesso reads schema = {SCHEMA}.", field="schema", details={"path": path})
    top = _Table(path, text, "the top of the file", content, 0)
    operations = top.text("operations", _RESOURCE, "package:file") if "operations" in content else ""  # a stranger's are compiled apart
    manifest = Manifest(
        path=path,
        operations_resource=operations,
        plugins=tuple(_plugin(table) for table in top.tables("plugin")),
        models=tuple(_model(table) for table in top.tables("model")),
        bridges=tuple(_bridge(table) for table in top.tables("bridge")),
    )
    top.allow("schema", "operations", "plugin", "model", "bridge")
    return manifest


def _plugin(table: _Table) -> PluginEntry:
    table.allow(
        "name", "module", "title", "summary", "licence", "provides", "extras", "permissions", "memory", "recognises", "isolation",
        "requires",
    )  # fmt: skip
    isolation, requires = table.isolated()
    return PluginEntry(
        name=table.text("name", _NAME, "lower-case letters, digits, '.', '_' and '-'"),
        module=table.text("module", _MODULE, "a dotted module name"),
        title=table.text("title"),
        summary=table.text("summary"),
        licence=table.text("licence"),
        provides=table.provides(),
        extras=table.texts("extras"),
        permissions=table.some_of("permissions", PERMISSIONS),
        memory=table.one_of("memory", MEMORY, MEMORY[0]),
        recognises=table.text("recognises", _RESOURCE, "package:file") if "recognises" in table else "",
        isolation=isolation,
        requires=requires,
    )


def _model(table: _Table) -> ModelEntry:
    table.allow("name", "family", "title", "path", "capabilities", "licence", "defaults", "limits", "kind")
    return ModelEntry(
        name=table.text("name", _NAME, "lower-case letters, digits, '.', '_' and '-'"),
        family=table.text("family"),
        title=table.text("title"),
        path=table.path("path"),
        capabilities=table.texts("capabilities"),
        licence=table.text("licence", default=""),
        defaults=table.settings("defaults", _DEFAULTS),
        limits=table.settings("limits", _LIMITS),
        kind=table.text("kind", default="checkpoint"),
    )


def _bridge(table: _Table) -> BridgeEntry:
    table.allow("name", "help", "run")
    return BridgeEntry(table.text("name", _NAME, "lower-case words"), table.text("help"), table.text("run", _TARGET, "module:function"))


class _Table:
    """One table of the file, with what is needed to say where a fault is."""

    def __init__(self, path: str, text: str, title: str, values: Mapping[str, Any], line: int) -> None:
        self._path, self._text, self._title, self._values, self._line = path, text, title, values, line

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def tables(self, key: str) -> list[_Table]:
        """The array of tables ``[[key]]``; names must differ."""
        values = self._values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self._fault(key, f"must be written as [[{key}]] tables")
        lines = [n for n, line in enumerate(self._text.splitlines(), 1) if line.replace(" ", "").startswith(f"[[{key}]]")]
        lines += [0] * (len(values) - len(lines))
        found = [_Table(self._path, self._text, f"[[{key}]] number {n + 1}", value, lines[n]) for n, value in enumerate(values)]
        seen: set[object] = set()
        for table in found:
            name = table._values.get("name")
            if name in seen:
                raise table._fault("name", f"{name!r} is taken by another [[{key}]]; names must differ")
            seen.add(name)
        return found

    def text(self, key: str, pattern: re.Pattern[str] | None = None, shape: str = "text", default: str | None = None) -> str:
        value = self._values.get(key, default)
        if value is None:
            raise self._fault(key, f"is missing; it must be {shape}")
        if not isinstance(value, str) or not (value.strip() or value == default):
            raise self._fault(key, f"must be {shape}, not {value!r}")
        if pattern is not None and not pattern.fullmatch(value):
            raise self._fault(key, f"must be {shape}, not {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        return self._names(key, self._values.get(key, []))

    def some_of(self, key: str, known: Sequence[str]) -> tuple[str, ...]:
        """A list of words, each of the known ones."""
        words = self.texts(key)
        for word in words:
            if word not in known:
                raise self._fault(key, f"cannot hold {word!r}; allowed are {', '.join(known)}")
        return words

    def one_of(self, key: str, known: Sequence[str], default: str) -> str:
        """One of the known words."""
        word = self.text(key, default=default)
        if word not in known:
            raise self._fault(key, f"cannot be {word!r}; allowed are {', '.join(known)}")
        return word

    def provides(self) -> dict[str, tuple[str, ...]]:
        value = self._values.get("provides", {})
        if not isinstance(value, dict):
            raise self._fault("provides", "must be a table of lists of names")
        unknown = [kind for kind in value if kind not in KINDS]
        if unknown:
            raise self._fault(f"provides.{unknown[0]}", f"is not known; allowed are {', '.join(KINDS)}")
        return {kind: self._names(f"provides.{kind}", names) for kind, names in value.items()}

    def isolated(self) -> tuple[str, tuple[str, ...]]:
        """Whether the plugin has an environment of its own, and what pip installs into it."""
        isolation, requires = self.text("isolation", _ISOLATION, '"venv" or "none"', "none"), self.texts("requires")
        if isolation == "none":
            if requires:
                raise self._fault("requires", 'needs isolation = "venv"; without it, dependencies belong into the distribution\'s own')
            return isolation, requires
        if other := [kind for kind in self.provides() if kind not in ISOLATED_KINDS]:
            raise self._fault("isolation", f'"venv" is for {", ".join(ISOLATED_KINDS)}; {other[0]} have to run in the worker itself')
        if wrong := [text for text in requires if not _REQUIREMENT.fullmatch(text)]:
            raise self._fault("requires", f'must be a list of requirements such as "pillow<12", not {wrong[0]!r}')
        return isolation, requires

    def settings(self, key: str, kinds: Mapping[str, type]) -> dict[str, Any]:
        """A table of names to texts or to numbers above zero."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise self._fault(key, "must be a table")
        for name, setting in value.items():
            if name not in kinds:
                raise self._fault(f"{key}.{name}", f"is not known; allowed are {', '.join(kinds)}")
            if not _suits(setting, kinds[name]):
                raise self._fault(f"{key}.{name}", f"cannot be {setting!r}")
        return dict(value)

    def path(self, key: str) -> Path | None:
        if key not in self._values:
            return None
        value = self.text(key)
        if _RESOURCE.fullmatch(value):
            return resource(value)
        return Path(self._path).parent / value

    def allow(self, *keys: str) -> None:
        for key in self._values:
            if key not in keys:
                raise self._fault(key, f"is not known; allowed are {', '.join(keys)}")

    def _names(self, key: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self._fault(key, "must be a list of names")
        if len(set(value)) != len(value):
            raise self._fault(key, "names something twice")
        return tuple(value)

    def _fault(self, key: str, what: str) -> PluginError:
        name = self._values.get("name")
        table = f"{self._title} ({name!r})" if isinstance(name, str) else self._title
        line = self._line_of(key.partition(".")[0])
        where = f"{self._path}, line {line}" if line else self._path
        return PluginError(
            f"In the plugin manifest {where}: in {table}, `{key}` {what}.",
            field=key,
            details={"path": self._path, "line": line, "table": self._title},
        )

    def _line_of(self, key: str) -> int:
        """The line of ``key = ...`` in this table, or of the table itself; 0 where neither is found."""
        lines = self._text.splitlines()
        for number in range(self._line, len(lines)):
            stripped = lines[number].strip()
            if stripped.startswith("[[") and not stripped.startswith(f"[[{key}"):
                break
            if re.match(rf"(\[\[)?\s*{re.escape(key)}\b", stripped):
                return number + 1
        return self._line


def _suits(setting: object, kind: type) -> bool:
    if kind is str:
        return isinstance(setting, str) and setting.strip() != ""
    if isinstance(setting, bool) or not isinstance(setting, (int, float)):
        return False
    return setting > 0 and (kind is float or isinstance(setting, int))
