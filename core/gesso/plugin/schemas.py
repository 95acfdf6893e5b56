"""Compiles what operations take into one JSON file, so that front, clients and documentation need not import a plugin.

The schemas are kept plain on purpose: no `$ref`, no `anyOf` with null. A field that may be absent has ``"type": [T, "null"]`` and
``"default": null``, so that a host can draw it without a JSON Schema library.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesso.errors import PluginError
from gesso.plugin.registry import Registry

SCHEMA = 1


def compile_operations(registry: Registry) -> dict[str, Any]:
    """The content of operations.json: every operation's parameters, and the catalogues that ``x-choices`` refers to."""
    return {
        "schema": SCHEMA,
        "operations": {
            operation.name: {
                "title": operation.title,
                "summary": summary(operation),
                "plugin": registry.operations.plugin_of(operation.name),
                "params": flattened(operation.Params.model_json_schema()),
                **({"patient": True} if getattr(operation, "patient", False) else {}),
            }
            for operation in registry.operations
        },
        "catalogues": {
            "samplers": [
                {
                    "name": spec.name,
                    "title": spec.title,
                    "paper": spec.paper,
                    "order": spec.order,
                    "evaluations": spec.evaluations,
                    "stochastic": spec.stochastic,
                    "aliases": list(spec.aliases),
                }
                for spec in sorted(registry.samplers, key=lambda spec: spec.name)
            ],
            "schedules": [
                {"name": spec.name, "title": spec.title, "paper": spec.paper, "aliases": list(spec.aliases)}
                for spec in sorted(registry.schedules, key=lambda spec: spec.name)
            ],
            "guidances": [
                {
                    "name": spec.name,
                    "title": spec.title,
                    "paper": spec.paper,
                    "aliases": list(spec.aliases),
                    "options": flattened(spec.options.model_json_schema())["properties"],
                }
                for spec in sorted(registry.guidances, key=lambda spec: spec.name)
            ],
            "scorers": [{**_named(spec), "paper": spec.paper, "prompted": spec.prompted} for spec in sorted(registry.scorers, key=_name)],
            "styles": [
                {**_named(spec), "prompt": spec.prompt, "negative": spec.negative, "params": dict(spec.params)}
                for spec in sorted(registry.styles, key=_name)
            ],
            "upscalers": [{**_named(spec), "paper": spec.paper} for spec in sorted(registry.upscalers, key=_name)],
            "codecs": [
                {**_named(spec), "media_type": spec.media_type, "ending": spec.ending, "holds": list(spec.holds)}
                for spec in sorted(registry.codecs, key=_name)
            ],
            "filters": [{**_named(spec), "when": spec.when} for spec in sorted(registry.filters, key=_name)],
            "commands": [{"name": spec.name, "help": spec.help, "run": spec.target} for spec in sorted(registry.commands, key=_name)],
        },
    }


def _name(spec: Any) -> str:
    return str(spec.name)


def _named(spec: Any) -> dict[str, Any]:
    return {"name": spec.name, "title": spec.title, "aliases": list(spec.aliases)}


def compile_to(path: Path, registry: Registry) -> bool:
    """Write operations.json if it differs; True where it was written. A registry with faults is refused: it would lose operations."""
    if registry.faults:
        raise PluginError(f"Nothing was compiled, because a plugin is at fault: {registry.faults[0].message}")
    return replace_text(path, dumped(compile_operations(registry)))


def replace_text(path: Path, text: str) -> bool:
    """Write a file whole or not at all, and only if it differs; True where it was written."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
    return True


def dumped(content: Mapping[str, Any]) -> str:
    """The bytes of the file as text: stable, readable in a diff."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def summary(operation: Any) -> str:
    """The first sentence of the operation's docstring."""
    text = " ".join((type(operation).__doc__ or operation.title).split())
    head, stop, _ = text.partition(". ")
    return head + "." if stop else text


def flattened(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A pydantic schema without `$ref` and `$defs`, and with nullable fields as a list of types."""
    definitions = schema.get("$defs", {})
    flat = _flat({key: value for key, value in schema.items() if key != "$defs"}, definitions, ())
    assert isinstance(flat, dict)
    return flat


def _flat(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_flat(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        if name in inside:
            raise PluginError(f"The parameter type {name!r} contains itself; parameters of an operation must be finite.")
        target = _flat(definitions[name], definitions, (*inside, name))
        return {**target, **{key: _flat(value, definitions, inside) for key, value in node.items() if key != "$ref"}}
    if "anyOf" in node:
        return _nullable({key: _flat(value, definitions, inside) for key, value in node.items()})
    return {key: _flat(value, definitions, inside) for key, value in node.items()}


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    """``anyOf: [T, null]`` -> T with "null" among its types (and values); other unions stay as they are."""
    options = node["anyOf"]
    real = [option for option in options if option.get("type") != "null"]
    if len(real) != 1 or len(options) != 2 or not isinstance(real[0].get("type"), str):
        return node
    kept = {key: value for key, value in node.items() if key != "anyOf"}
    merged = {**real[0], **kept, "type": [real[0]["type"], "null"]}
    if "enum" in merged:
        merged["enum"] = [*merged["enum"], None]
    return merged
