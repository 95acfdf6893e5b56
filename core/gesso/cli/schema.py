"""Operations and catalogues as the compiled schema file tells them. It reads JSON only: no plugin, no pydantic."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesso.errors import PluginError

SCHEMA = 1
SIZE = ("width", "height")


@dataclass(frozen=True)
class Property:
    """One parameter of an operation. ``kind`` is a JSON type name, or the widget where that changes how it is typed."""

    name: str
    kind: str
    title: str
    description: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    catalogue: str | None = None
    required: bool = False
    item: str = "string"
    advanced: bool = False
    positional: bool = False
    weights: bool = False
    several: bool = False


@dataclass(frozen=True)
class OperationSchema:
    """One operation: its parameters in the order in which they were written."""

    name: str
    title: str
    summary: str
    properties: tuple[Property, ...]

    @property
    def prompt(self) -> str | None:
        """The parameter that is typed without a flag."""
        return next((p.name for p in self.properties if p.kind == "prompt"), None)

    @property
    def images(self) -> tuple[str, ...]:
        """Parameters that hold input images."""
        return tuple(p.name for p in self.properties if p.kind in ("image", "images", "named_images"))


@dataclass(frozen=True)
class Surface:
    """Everything a client can ask for. ``fault`` is why there is nothing to ask for."""

    operations: Mapping[str, OperationSchema] = field(default_factory=dict)
    catalogues: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    fault: PluginError | None = None


def load(path: Path) -> Surface:
    """Read the compiled schema file; a fault in it is kept in the surface, so that `doctor` and `plugins compile` still run."""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        return Surface(
            fault=PluginError(
                f"The compiled schema file {path} cannot be used: {type(fault).__name__}: {fault}.",
                hint="Run `gesso plugins compile`, or install Gesso again.",
            )
        )


def with_strangers(surface: Surface, folder: Path) -> Surface:
    """The surface with what the owner's plugins add, as it was compiled when they were enabled. A plugin that has changed since adds
    only its commands, which then say why they do nothing; one whose record cannot be read adds nothing.
    """
    if surface.fault is not None or not (folder / "plugins.json").exists():
        return surface
    from gesso.strangers import Shelf

    shelf = Shelf(folder)
    try:
        standings = [standing for standing in shelf.standings() if standing.record.enabled]
    except PluginError:
        return surface
    for standing in standings:
        added = load(shelf.compiled(standing.record.name))
        if not standing.on:
            added = Surface(catalogues={"commands": added.catalogues.get("commands", ())})
        kinds = {**surface.catalogues, **added.catalogues}
        surface = Surface(
            {**surface.operations, **added.operations},
            {kind: (*surface.catalogues.get(kind, ()), *added.catalogues.get(kind, ())) for kind in kinds if kind != "models"},
        )
    return surface


def parse(document: Mapping[str, Any]) -> Surface:
    """The parsed JSON of a schema file -> surface; raises ValueError where the file is of another version."""
    if document.get("schema") != SCHEMA:
        raise ValueError(f"it has schema {document.get('schema')!r}, this version reads {SCHEMA}")
    operations = {name: _operation(name, entry) for name, entry in document["operations"].items()}
    catalogues = {kind: tuple(entries) for kind, entries in document.get("catalogues", {}).items()}
    return Surface(operations, catalogues)


def _operation(name: str, entry: Mapping[str, Any]) -> OperationSchema:
    return OperationSchema(name, entry["title"], entry.get("summary", ""), tuple(_properties(entry["params"])))


def _properties(schema: Mapping[str, Any]) -> Iterator[Property]:
    required = frozenset(schema.get("required", ()))
    for name, raw in schema.get("properties", {}).items():
        yield _property(name, raw, name in required)


def _type(raw: Mapping[str, Any]) -> str:
    """The one type of a schema beside null; a union counts as its first part."""
    kind = raw.get("type", next((part.get("type") for part in raw.get("anyOf", ())), "string"))
    return next(name for name in ([kind] if isinstance(kind, str) else kind) if name != "null")


def _property(name: str, raw: Mapping[str, Any], required: bool) -> Property:
    hints = raw.get("x-ui", {})
    widget = hints.get("widget") if isinstance(hints, Mapping) else hints
    kind = _type(raw)
    items = raw.get("items", {})
    if widget in ("prompt", "image", "mask"):
        kind = "prompt" if widget == "prompt" else "images" if kind == "array" else "image"
    values = raw.get("additionalProperties")
    if isinstance(values, Mapping) and "sha256" in values.get("properties", ()):
        kind = "named_images"
    return Property(
        name=name,
        kind=kind,
        title=str(raw.get("title", name)),
        description=str(raw.get("description", "")),
        default=raw.get("default"),
        minimum=raw.get("minimum", raw.get("exclusiveMinimum")),
        maximum=raw.get("maximum", raw.get("exclusiveMaximum")),
        choices=tuple(raw.get("enum", ())),
        catalogue=raw.get("x-choices"),
        required=required,
        item=_type(items),
        advanced=bool(hints.get("advanced")) if isinstance(hints, Mapping) else False,
        weights=isinstance(raw.get("additionalProperties"), Mapping) and raw["additionalProperties"].get("type") == "number",
        positional=bool(hints.get("positional")) if isinstance(hints, Mapping) else False,
        several=bool(hints.get("several")) if isinstance(hints, Mapping) else False,
    )
