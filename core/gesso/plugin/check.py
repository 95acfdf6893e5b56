"""`python -m gesso.plugin.check`: looks at one stranger's plugin in a process that may die of it, and writes down what it registers,
what is wrong with it, and its compiled schemas. It enables nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gesso import distributions
from gesso.errors import PluginError
from gesso.manifest import Manifest, ModelEntry, PluginEntry, first_party
from gesso.plugin.build import add_stranger
from gesso.plugin.names import Catalogue
from gesso.plugin.registry import PluginState, Registry
from gesso.plugin.schemas import compile_operations
from gesso.strangers import Stranger

_LARGEST_FILE = 64 << 20
"""Bytes that the process may write into one file: what a plugin prints lands in one."""


def main(arguments: list[str] | None = None) -> int:
    """Write the report to ``--out``; a process that ends without one was ended by the plugin."""
    parser = argparse.ArgumentParser(prog="python -m gesso.plugin.check", allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--file", type=Path, default=None, help="a single file; without it the installed plugin of that name")
    options = parser.parse_args(arguments)
    _bound_files()
    try:
        report = checked(_of_file(options.name, options.file) if options.file else _of_distribution(options.name), options.file is None)
    except PluginError as fault:
        report = {"faults": [{"plugin": options.name, "hook": "", "message": fault.message, "traceback": ""}]}
    options.out.write_text(json.dumps(report), encoding="utf-8")
    return 0


def checked(stranger: Stranger, declared: bool) -> dict[str, Any]:
    """What the plugin registers beside the first-party plugins, whose names are claimed without importing them."""
    registry = claimed(first_party())
    state = add_stranger(registry, stranger, declared=declared)
    faults = [asdict(fault) for fault in state.faults]
    if not faults and not state.registered:
        message = (
            f"The plugin {stranger.entry.name!r} registers nothing; decorate a function with gesso.plugin.sampler or implement a hook."
        )
        faults.append({"plugin": stranger.entry.name, "hook": "", "message": message, "traceback": ""})
    if faults:
        return {"faults": faults}
    try:
        compiled = compile_operations(registry)
        _validate(compiled)
    except Exception as fault:
        message = f"The parameters of the plugin {stranger.entry.name!r} cannot be compiled: {type(fault).__name__}: {fault}"
        return {"faults": [{"plugin": stranger.entry.name, "hook": "gesso_operations", "message": message, "traceback": ""}]}
    compiled["catalogues"]["models"] = [
        {"name": model.name, "title": model.title, "family": model.family, "capabilities": model.capabilities, "licence": model.licence}
        for model in registry.models
    ]
    return {"faults": [], "entry": _described(stranger.entry, state), "models": list(map(_plain, stranger.models)), "compiled": compiled}


def claimed(manifest: Manifest) -> Registry:
    """A registry in which the first-party names are taken, by what was compiled from them."""
    registry = Registry(Manifest(manifest.path, manifest.operations_resource))
    document = json.loads(manifest.operations_file.read_text(encoding="utf-8"))
    for name, operation in document["operations"].items():
        registry.operations.claim(name, operation["plugin"])
    owners = {(kind, name): entry.name for entry in manifest.plugins for kind, names in entry.provides.items() for name in names}
    for kind, entries in document["catalogues"].items():
        catalogue: Catalogue[Any] = getattr(registry, kind)
        for entry in entries:
            others = (entry.get("title", entry["name"]), *entry.get("aliases", ()))
            catalogue.claim(entry["name"], owners.get((kind, entry["name"]), "gesso"), others)
    for (kind, name), owner in owners.items():
        if kind not in document["catalogues"] and kind != "operations":
            other: Catalogue[Any] = getattr(registry, kind)
            other.claim(name, owner)
    return registry


def _of_file(name: str, path: Path) -> Stranger:
    return Stranger(PluginEntry(name, "", name.replace("_", " ").capitalize(), "", ""), path, path.read_bytes())


def _of_distribution(name: str) -> Stranger:
    found = distributions.declaration(distributions.find(name))
    return Stranger(found.plugins[0], models=found.models)


def _described(entry: PluginEntry, state: PluginState) -> dict[str, Any]:
    module = next((sys.modules[name] for name in (f"gesso_single_{entry.name}", entry.module) if name in sys.modules), None)
    text = " ".join((getattr(module, "__doc__", None) or "").split())
    return {
        "module": entry.module or f"gesso_single_{entry.name}",
        "title": entry.title,
        "summary": entry.summary or text.partition(". ")[0],
        "licence": entry.licence or str(getattr(module, "__license__", "")),
        "version": str(getattr(module, "__version__", "")),
        "provides": {kind: list(names) for kind, names in state.registered.items()},
        "asks": {
            "extras": list(entry.extras),
            "permissions": list(entry.permissions),
            "memory": entry.memory,
            **({"requires": list(entry.requires)} if entry.isolation != "none" else {}),
        },
    }


def _plain(model: ModelEntry) -> dict[str, Any]:
    return {**asdict(model), "path": None if model.path is None else str(model.path)}


def _validate(compiled: Mapping[str, Any]) -> None:
    """Each schema must be one that the front's validator takes, and name only catalogues that exist."""
    for operation in compiled["operations"].values():
        import jsonschema_rs

        jsonschema_rs.Draft202012Validator(operation["params"])


def _bound_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # the report is written: threads that the plugin started, and the interpreter's own end, are waited for by nobody
