"""`gesso styles import` and `export`: styles as TOML or JSON, to hand on and to take in. Imported ones become a plugin of the owner's that
holds nothing but data, so that they are checked, listed, turned off and removed like any other.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gesso.cli import plugins, report
from gesso.cli.schema import Surface
from gesso.errors import InvalidRequest, OutputError, UsageError

SUBJECT = "{prompt}"
_FIELDS = ("title", "prompt", "negative", "params")
_PLUGIN = '''"""Styles from {source}."""

import json

from gesso.plugin import StyleSpec, hookimpl

STYLES = json.loads({content!r})


@hookimpl
def gesso_styles():
    return [StyleSpec(**style) for style in STYLES]
'''


def take_in(args: argparse.Namespace, surface: Surface) -> int:
    """Read a file of styles, and turn them on as the plugin of the file's name: ``frosty.toml`` gives ``frosty.NAME``."""
    path = Path(args.file)
    styles = read(path)
    content = json.dumps(styles, ensure_ascii=False)
    with tempfile.TemporaryDirectory(prefix="gesso-styles-") as folder:
        draft = Path(folder, f"{path.stem}.py")
        draft.write_text(_PLUGIN.format(source=path.name, content=content), encoding="utf-8")
        return plugins.add(argparse.Namespace(file=str(draft), json=args.json), surface)


def export(args: argparse.Namespace, surface: Surface) -> int:
    """Write styles to a file: all that there are, or those that are named."""
    if surface.fault is not None:
        raise surface.fault
    path = Path(args.output)
    if path.suffix not in (".toml", ".json"):
        raise UsageError(f"Styles are written to a .toml or .json file, not to {path.name!r}.", field="output")
    if path.exists() and not args.force:
        raise OutputError(f"{path} exists already.", field="output", hint="Choose another --output, or give --force.")
    known = {entry["name"]: entry for entry in surface.catalogues.get("styles", ())}
    for name in args.names:
        if name not in known:
            raise InvalidRequest(f"There is no style {name!r}.", field="names", hint="`gesso styles list` lists them.")
    chosen = {name.rpartition(".")[2]: known[name] for name in args.names or known}
    tables = {name: {field: entry[field] for field in _FIELDS if entry[field]} for name, entry in chosen.items()}
    text = json.dumps(tables, indent=2, ensure_ascii=False) + "\n" if path.suffix == ".json" else "\n".join(_toml(tables)) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise OutputError(f"The styles cannot be written to {path}: {fault.strerror}.", field="output") from fault
    if args.json:
        report.document({"path": str(path), "styles": list(tables)})
    else:
        report.note(f"{len(tables)} styles in {path}")
    return 0


def read(path: Path) -> list[dict[str, Any]]:
    """The styles in a file; UsageError names the file, the style and the field."""
    import tomllib

    try:
        raw = path.read_text(encoding="utf-8")
        tables = json.loads(raw) if path.suffix == ".json" else tomllib.loads(raw)
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"The styles {path} cannot be read: {fault}.", field="file") from fault
    except ValueError as fault:  # what both readers raise
        raise UsageError(f"{path} is neither TOML nor, called .json, JSON: {fault}.", field="file") from fault
    if not isinstance(tables, dict) or not tables:
        raise UsageError(f"{path} holds no styles; each is a table of its own, such as [frosted].", field="file")
    return [_style(path, name, table) for name, table in tables.items()]


def _style(path: Path, name: str, table: object) -> dict[str, Any]:
    def wrong(what: str) -> UsageError:
        return UsageError(f"In {path}, the style {name!r} {what}.", field="file")

    if not isinstance(table, dict):
        raise wrong(f"must be a table of {', '.join(_FIELDS)}")
    if unknown := [field for field in table if field not in _FIELDS]:
        raise wrong(f"has the unknown field {unknown[0]!r}; it takes {', '.join(_FIELDS)}")
    texts = {"title": name.replace("_", " ").capitalize(), "prompt": SUBJECT, "negative": ""} | {
        field: table[field] for field in ("title", "prompt", "negative") if field in table
    }
    if bad := [field for field, text in texts.items() if not isinstance(text, str)]:
        raise wrong(f"needs text as its {bad[0]}")
    if texts["prompt"].count(SUBJECT) != 1:
        raise wrong(f"needs {SUBJECT} once in its prompt, where the request's words go")
    params = table.get("params", {})
    if not isinstance(params, dict) or not all(isinstance(value, (str, int, float)) for value in params.values()):
        raise wrong("needs numbers and texts as its params")
    return {"name": name, **texts, "params": params}


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for number, (name, table) in enumerate(tables.items()):
        yield from ([""] if number else [])
        yield f"[{json.dumps(name)}]"
        yield from (f"{field} = {json.dumps(table[field], ensure_ascii=False)}" for field in _FIELDS[:3] if field in table)
        if table.get("params"):
            yield from ("", f"[{json.dumps(name)}.params]")
            yield from (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table["params"].items())
