"""Checks requests against the compiled schema files and completes them: literal defaults, the seed. It imports no plugin
and no pydantic, and the validator itself only with the first request.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.daemon.catalogues import Catalogue, check_name
from gesso.daemon.sentences import refusal
from gesso.daemon.strangers import Strangers
from gesso.errors import PluginError
from gesso.library import ModelList
from gesso.library.recognition import KINDS
from gesso.manifest import ModelEntry
from gesso.statefiles import Stamp
from gesso.wire.message import OUTPUTS

if TYPE_CHECKING:
    import jsonschema_rs

SCHEMA = 1
_SEEDS = 2**32


@dataclass(frozen=True)
class Checked:
    """A request that may be journaled: complete params and the input blobs they name."""

    params: Mapping[str, Any]
    blobs: tuple[str, ...]


class Schemas:
    """What all operations take. ``files`` are compiled schema files; ``models_file`` lists what the owner added, if it exists; ``plugins``
    is the folder of the plugins that the owner added.
    """

    def __init__(self, files: Sequence[Path], models: Sequence[ModelEntry], models_file: Path, plugins: Path | None = None) -> None:
        self.strangers = None if plugins is None else Strangers(plugins, read_document)
        self._files = files
        self._models = models
        self._owned = ModelList(models_file)
        self._models_stamp: Stamp | None = None
        self._models_added: list[Any] = []
        self._operations: dict[str, Any] | None = None
        self._catalogues: dict[str, Catalogue] = {}
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def check(self, operation: str, params: Mapping[str, Any]) -> Checked:
        """Complete the params, or raise InvalidRequest that names the field. A null counts as not given."""
        properties = self._properties(operation)
        given = {name: value for name, value in params.items() if value is not None}
        for name, schema in properties.items():
            if name not in given and schema.get("default") is not None:
                given[name] = schema["default"]
            if name not in given and _widget(schema) == "seed":
                given[name] = secrets.randbelow(_SEEDS)
        for fault in self._validator(operation).iter_errors(given):
            raise refusal(fault, sorted(properties))
        for name, kind, value in _chosen(properties, given):
            check_name(self._catalogues, kind, value, name)
        return Checked(given, tuple(dict.fromkeys(_blobs(properties, given))))

    def describe(self) -> tuple[str, bytes]:
        """(digest, the merged schema file with the models as one more catalogue)."""
        operations = self._load()
        catalogues = {kind: catalogue.entries for kind, catalogue in sorted(self._catalogues.items())}
        document = {"schema": SCHEMA, "operations": operations, "catalogues": catalogues}
        raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return hashlib.sha256(raw).hexdigest(), raw

    def models(self) -> list[dict[str, Any]]:
        """The models by name, as `state` lists them."""
        self._load()
        return self._catalogues["models"].entries

    def needs(self, operation: str, params: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
        """(input blobs, model) of a request that was checked before."""
        return tuple(dict.fromkeys(_blobs(self._properties(operation), params))), self.model_of(params)

    def model_of(self, params: Mapping[str, Any]) -> str | None:
        """The canonical name of the model that a request asks for, if it names one."""
        name = params.get("model")
        return self._catalogues["models"].canonical(name) if isinstance(name, str) and "models" in self._catalogues else None

    def known_model(self, name: str) -> str:
        """The canonical name of a model; InvalidRequest with the nearest for one that is not there."""
        self._load()
        catalogue = self._catalogues["models"]
        found = catalogue.canonical(name)
        if found is None:
            raise catalogue.unknown(name, "model")
        return found

    def patience(self, operation: object) -> dict[str, bool]:
        """What goes into the request of an operation whose jobs give way to all others."""
        known = self._load().get(str(operation), {})
        return {"patient": True} if known.get("patient") else {}

    def output(self, asked: object) -> str:
        """The canonical name of what a request asks for as ``output``: raw samples, or a codec. InvalidRequest with the nearest."""
        if asked is None:
            return OUTPUTS[0]
        if asked in OUTPUTS:
            return str(asked)
        self._load()
        catalogue = self._catalogues.get("codecs") or Catalogue("codecs", ())
        found = catalogue.canonical(str(asked))
        if found is None:
            raise catalogue.unknown(str(asked), "output")
        return found

    def refresh(self) -> None:
        """Take in what the owner changed about plugins; what cannot be read is left for `describe` and `submit` to report."""
        if self.strangers is not None and self.strangers.refresh():
            self._operations = None
            self._catalogues = {}
            self._validators = {}

    def _properties(self, operation: str) -> Mapping[str, Any]:
        operations = self._load()
        if operation not in operations:
            raise Catalogue("operations", [{"name": name} for name in operations]).unknown(operation, "operation")
        found: Mapping[str, Any] = operations[operation]["params"].get("properties", {})
        return found

    def _validator(self, operation: str) -> jsonschema_rs.Draft202012Validator:
        import jsonschema_rs

        if operation not in self._validators:
            self._validators[operation] = jsonschema_rs.Draft202012Validator(self._load()[operation]["params"])
        return self._validators[operation]

    def _load(self) -> dict[str, Any]:
        self.refresh()
        if self._operations is None:
            operations: dict[str, Any] = {}
            entries: dict[str, list[Any]] = {"samplers": [], "schedules": []}
            strangers = self.strangers.documents if self.strangers is not None else ()
            for document in (*map(read_document, self._files), *strangers):
                operations.update(document["operations"])
                for kind, listed in document["catalogues"].items():
                    entries.setdefault(kind, []).extend(listed)
            self._models_added = entries.pop("models", [])
            self._catalogues.update({kind: Catalogue(kind, listed) for kind, listed in entries.items()})
            self._operations = operations
        self._refresh_models()
        return self._operations

    def _refresh_models(self) -> None:
        """Models of every kind, each kind a catalogue: ``models`` make pictures by themselves, the others beside one."""
        stamp = self._owned.stamp()
        if "models" in self._catalogues and stamp == self._models_stamp:
            return
        listed: dict[str, list[Any]] = {_catalogue_of(kind): [] for kind in KINDS}
        for entry in self._models:
            listed[_catalogue_of(entry.kind)].append(_told(entry))
        listed["models"] += self._models_added
        for entry in self._owned.read():
            listed[_catalogue_of(entry.kind)].append(_told(entry))
        self._catalogues.update({kind: Catalogue(kind, entries) for kind, entries in listed.items() if entries or kind == "models"})
        self._models_stamp = stamp


def _catalogue_of(kind: str) -> str:
    """Of models of this kind; ``upscalers`` are what plugins register, so a network that upscales stands elsewhere."""
    return {"checkpoint": "models", "upscaler": "upscaler_networks"}.get(kind, f"{kind}s")


def _told(entry: ModelEntry) -> dict[str, Any]:
    """What clients are told of a model; where it lies is the owner's affair."""
    told = {"name": entry.name, "title": entry.title, "family": entry.family, "capabilities": list(entry.capabilities)}
    return {**told, "licence": entry.licence, **({"layout": entry.layout} if entry.layout else {})}


def read_document(path: Path) -> Mapping[str, Any]:
    """One compiled schema file; PluginError where it is missing or of another shape."""
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA or not all(entry["params"]["type"] == "object" for entry in document["operations"].values()):
            raise ValueError(f"it is not of schema {SCHEMA}")
        document["catalogues"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise PluginError(
            f"The schema file {path} cannot be used: {fault}.", hint="Write it anew with `gesso plugins compile`.",
        ) from fault  # fmt: skip
    found: Mapping[str, Any] = document
    return found


def _widget(schema: Mapping[str, Any]) -> str | None:
    widget = schema.get("x-ui", {}).get("widget")
    return str(widget) if widget is not None else None


def _chosen(properties: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(field, catalogue, name) of every value that has to stand in a catalogue."""
    for name, schema in properties.items():
        kind = schema.get("x-choices")
        value = params.get(name)
        if kind is not None:
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str):
                    yield name, kind, item


def _blobs(properties: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    """The hashes of the pictures that parameters name: one, several, or some by name."""
    for name, schema in properties.items():
        value = params.get(name)
        values = schema.get("additionalProperties")
        named = isinstance(values, dict) and "sha256" in values.get("properties", ())
        if named or _widget(schema) in ("image", "mask"):
            items = value if isinstance(value, list) else value.values() if named and isinstance(value, dict) else [value]
            for item in items:
                if isinstance(item, dict) and isinstance(item.get("sha256"), str):
                    yield item["sha256"]
