"""`gesso plugins new`: writes a complete project for a plugin, from the templates beside this file. It overwrites nothing."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.errors import OutputError, UsageError

TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")

KINDS: Mapping[str, Mapping[str, str]] = {
    "sampler": {
        "summary": "A sampler for Gesso: the explicit midpoint rule.",
        "provides": 'samplers = ["@name@"]',
        "usage": "gesso generate 'mossy stone' --sampler @name@.@name@",
    },
    "operation": {
        "summary": "Fades the colours of a picture.",
        "provides": 'operations = ["@name@"]',
        "usage": "gesso @name@.@name@ --image picture.png --strength 0.7",
    },
    "family": {
        "summary": "A family of models that render stripes.",
        "provides": 'families = ["@name@"]',
        "usage": "gesso generate 'anything' --model @name@.plain",
    },
    "reranker": {
        "summary": "Scores pictures by how colourful they are.",
        "provides": 'scorers = ["@name@"]',
        "usage": "gesso rerank 'anything' a.png b.png --score @name@.@name@=1",
    },
}


def project(name: str, kind: str) -> dict[str, str]:
    """Every file of the project: path -> text."""
    package = f"src/gesso_{name}"
    parts = {
        "pyproject.toml": ("pyproject.toml",),
        "README.md": ("README.md",),
        f"{package}/plugin_manifest.toml": ("plugin_manifest.toml", *(("family_model.toml",) if kind == "family" else ())),
        f"{package}/plugin.py": (f"{kind}.py",),
        **({f"{package}/params.py": ("operation_params.py",)} if kind == "operation" else {}),
        f"tests/test_{name}.py": (f"test_{kind}.py",),
    }
    values = {**KINDS[kind], "title": name.replace("_", " ").capitalize(), "Class": name.title().replace("_", ""), "name": name}
    texts = {path: "".join((TEMPLATES / f"{part}.tmpl").read_text(encoding="utf-8") for part in names) for path, names in parts.items()}
    for key, value in values.items():  # the name comes last: others contain it
        texts = {path: text.replace(f"@{key}@", value) for path, text in texts.items()}
    return {**texts, f"{package}/__init__.py": f'"""The plugin `{name}` for Gesso."""\n', f"{package}/py.typed": ""}


def new(args: argparse.Namespace, _surface: Surface) -> int:
    """Write the project into a new folder."""
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"A plugin is called by lower-case letters, digits and '_', such as my_sampler, not {args.name!r}.", field="name")
    folder = Path(args.output or f"gesso-{args.name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} exists already.", field="output", hint="Choose another --output.")
    files = project(args.name, args.kind)
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as fault:
        raise OutputError(f"The project cannot be written to {folder}: {fault.strerror}.", field="output") from fault
    if args.json:
        report.document({"folder": str(folder), "files": sorted(files)})
    else:
        report.note(f"{folder} is a plugin of its own; its README.md says how to go on")
    return 0
