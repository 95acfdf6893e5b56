"""`gesso models`: which models there are, what each is, and the owner's list of them. It reads headers only; running daemons follow the
list; no message of the protocol can change it, but for a job of `learn`, which adds what it learned.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.config import change, load
from gesso.errors import InvalidRequest, ModelError, UsageError
from gesso.library import Found, Layouts, ModelList, examine, hashes, read_layouts
from gesso.library.folders import is_model, scan
from gesso.library.listing import NAME, name_for
from gesso.manifest import Manifest, ModelEntry, first_party
from gesso.wire.home import Home

SETTING = "models.default"
ALONE = ("upscaler", "image_encoder", "maps_network", "style_network")
"""Kinds beside checkpoints that need none, where a family runs them."""
_GIB = 2**30


@dataclass(frozen=True)
class Line:
    """One model as `list` shows it. ``state``: ready, or in a sentence why not."""

    entry: ModelEntry
    source: str
    state: str
    default: bool

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        entry = self.entry
        return {
            "name": entry.name,
            "kind": entry.kind,
            "title": entry.title,
            "layout": entry.layout,
            "family": entry.family,
            "capabilities": list(entry.capabilities),
            "licence": entry.licence,
            "path": None if entry.path is None else str(entry.path),
            "source": self.source,
            "default": self.default,
            "available": self.state == "ready",
            "state": self.state,
        }


def model_list() -> ModelList:
    """The owner's list."""
    return ModelList(Home.find().models / NAME)


def lines() -> list[Line]:
    """The models that ship with Gesso, those of plugins, and the owner's."""
    from gesso.cli.plugins import shelf

    owned = model_list().read()
    preferred = load(Home.find().config_file).text(SETTING)
    strangers, _ = shelf().usable()
    added = [(model, stranger.entry.name) for stranger in strangers for model in stranger.models]
    every = [*((m, "gesso") for m in first_party().models), *added, *((m, "yours") for m in owned)]
    return [Line(entry, source, _state(entry), entry.name == preferred) for entry, source in every]


def _state(entry: ModelEntry) -> str:
    if entry.path is not None and not entry.path.exists():
        return f"no files at {entry.path}"
    if entry.kind == "checkpoint" and not entry.family:
        return "known, but no family runs it yet"
    return "ready"


def listing(args: argparse.Namespace, _surface: Surface) -> int:
    """Every model that can be asked for, of every kind, and whether its files are there."""
    found = [line for line in lines() if args.kind in (None, line.entry.kind)]
    if args.json:
        report.document({"models": [line.document() for line in found]})
        return 0
    rows = [
        (
            f"{line.entry.name}{' *' if line.default else ''}",
            line.entry.kind,
            line.entry.layout or line.entry.family,
            line.source,
            line.state,
        )
        for line in found
    ]
    report.table(rows, ("model", "kind", "what it is", "from", "state"))
    if any(line.default for line in found):
        report.note("* is taken where a request names no model")
    return 0


def add(args: argparse.Namespace, _surface: Surface) -> int:
    """Take a file, a directory, or all of a folder of models into the list, where they lie."""
    path = Path(args.path).expanduser().absolute()
    layouts = read_layouts(first_party())
    if path.is_dir() and not is_model(path):
        return _add_folder(args, path, layouts)
    entry, found = take_in(examine(path, layouts), args.name, args.family, args.kind)
    return _tell_added(args, [(entry, found)], ())


def take_in(found: Found, name: str | None, family: str | None = None, kind: str | None = None) -> tuple[ModelEntry, Found]:
    """Put one model on the list, under the name that it is given, or its own: hosts show it so."""
    if family is not None:
        _check_family(found, family)
    elif not found.kind:
        raise ModelError(
            f"{found.path} is sound, but no table of Gesso says what model it is.",
            hint="`gesso models add --family NAME --kind KIND` takes it on your word; `gesso plugins list` names the families.",
        )
    title = name or _own_name(found)
    entry = _entry(found, title, title, family, kind)
    _refuse_taken([entry], replacing=True)
    model_list().put([entry])
    return entry, found


def _check_family(found: Found, family: str) -> None:
    """A family that is named must be there, and those of Gesso's own are known to run the layouts that they run and no other."""
    from gesso.cli.plugins import shelf

    own = [name for plugin in first_party().plugins for name in plugin.provides.get("families", ())]
    strangers, _ = shelf().usable()
    added = [f"{s.entry.name}.{name}" for s in strangers for name in s.entry.provides.get("families", ())]
    if family not in (*own, *added):
        near = difflib.get_close_matches(family, (*own, *added), 3, 0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`gesso plugins list` names the families."
        raise InvalidRequest(f"There is no family {family!r}.", field="family", hint=hint, details={"nearest": near})
    if found.family and family in own and family != found.family:
        raise InvalidRequest(
            f"{found.path} is {found.title}, which the family {found.family!r} runs, not {family!r}.",
            field="family",
            hint="Leave --family out.",
        )


def _add_folder(args: argparse.Namespace, path: Path, layouts: Layouts) -> int:
    if args.name or args.family:
        raise UsageError(
            "--name and --family are for one model, not for a folder of them.", field="path", hint="Add the models one by one."
        )
    scanned = scan(path, layouts)
    listed = model_list()
    known = {entry.path: entry for entry in listed.read()}
    names = {line.entry.name for line in lines()}
    entries: list[tuple[ModelEntry, Found]] = []
    for found in scanned.found:
        if args.kind not in (None, found.kind):
            continue
        before = known.get(found.path)
        title = _own_name(found)
        entry = _entry(found, before.name if before else name_for(title, names), title, None, None)
        names.add(entry.name)
        entries.append((entry, found))
    if entries:
        listed.put([entry for entry, _ in entries])
    elif not scanned.passed:
        raise ModelError(
            f"There is no model in {path} or below.", field="path", hint="Models are .safetensors files and diffusers directories."
        )
    if not args.json and scanned.tool:
        report.note(f"{path} looks like a folder of {scanned.tool}")
    return _tell_added(args, entries, [(passed.path, passed.reason) for passed in scanned.passed])


def _tell_added(args: argparse.Namespace, added: Sequence[tuple[ModelEntry, Found]], passed: Iterable[tuple[Path, str]]) -> int:
    passed = list(passed)
    if args.json:
        report.document(
            {
                "added": [_document(entry, found) for entry, found in added],
                "passed": [{"path": str(path), "reason": reason} for path, reason in passed],
            }
        )
        return 0
    for entry, found in added:
        report.note(f"{entry.name}: {found.title or entry.kind}, {_size(found.nbytes)}{_caveat(entry)}")
    for _, reason in passed:
        report.note(f"passed over: {reason}")
    where = "where they lie, nothing copied; a running daemon has them at once" if added else "to the list"
    report.note(f"{len(added) or 'nothing'} added {where}")
    return 0


def _caveat(entry: ModelEntry) -> str:
    return "; no family runs it yet" if entry.kind == "checkpoint" and not entry.family else ""


def _own_name(found: Found) -> str:
    return found.path.stem if found.path.is_file() else found.path.name


def _entry(found: Found, name: str, title: str, family: str | None, kind: str | None) -> ModelEntry:
    layout = found.layout
    return ModelEntry(
        name=name_for(name, ()),
        family=family or found.family,
        title=title,
        path=found.path,
        capabilities=layout.capabilities if layout else (),
        licence=found.licence,
        kind=kind or found.kind or "checkpoint",
        layout=layout.name if layout else "",
    )


def _refuse_taken(entries: Iterable[ModelEntry], *, replacing: bool) -> None:
    taken = {line.entry.name: line for line in lines() if line.source != "yours" or not replacing}
    for entry in entries:
        if entry.name in taken:
            raise InvalidRequest(
                f"The name {entry.name!r} belongs to a model of {taken[entry.name].source}.",
                field="name",
                hint="Choose another with --name.",
            )


def remove(args: argparse.Namespace, _surface: Surface) -> int:
    """Take models off the list; their files stay where they are."""
    listed = model_list()
    names = []
    for name in args.names:
        entry = listed.named(name)
        if entry is None:
            line = find(name)
            raise InvalidRequest(
                f"The model {line.entry.name!r} is of {line.source} and stays on the list.",
                field="name",
                hint="Only your own can be removed.",
            )
        names.append(entry.name)
    listed.drop(names)
    config = Home.find().config_file
    if load(config).text(SETTING) in names:
        change(config, SETTING, None)
    if args.json:
        report.document({"removed": names})
    else:
        report.note(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} off the list; no file was touched")
    return 0


def default(args: argparse.Namespace, _surface: Surface) -> int:
    """Show or set the model that is taken where a request names none."""
    path = Home.find().config_file
    if args.name is not None:
        line = find(args.name)
        if line.entry.kind != "checkpoint":
            raise InvalidRequest(
                f"{line.entry.name!r} is a {line.entry.kind} and makes no pictures by itself.", field="name", hint="Choose a checkpoint."
            )
        if line.state != "ready":
            raise ModelError(f"The model {line.entry.name!r} cannot be the default: {line.state}.", field="name")
        change(path, SETTING, line.entry.name)
    elif args.reset:
        change(path, SETTING, None)
    now = load(path).text(SETTING)
    if args.json:
        report.document({"default": now or None})
    else:
        report.note(f"{now} is taken where a request names no model" if now else "no default is set: the first model that can is taken")
    return 0


def info(args: argparse.Namespace, _surface: Surface) -> int:
    """Everything that a model's files tell of it."""
    path = Path(args.name).expanduser()
    manifest = first_party()
    if path.suffix == ".safetensors" or (path.is_dir() and is_model(path)):
        entry, source = None, ""
    else:
        line = find(args.name)
        entry, source = line.entry, line.source
        path = entry.path or Path()
    shown: dict[str, Any] = {} if entry is None else {"name": entry.name, "from": source, "state": _state(entry)}
    if entry is not None and entry.path is None:
        shown |= {"kind": entry.kind, "title": entry.title, "family": entry.family, "runs": "Gesso's engine, without weights"}
        shown |= {"licence": entry.licence}
    else:
        shown |= _examined(path.absolute(), entry, manifest, with_hashes=args.hash)
    if args.json:
        report.document(shown)
        return 0
    width = max(map(len, shown))
    for key, value in shown.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
        if text:
            print(f"{key.ljust(width)}  {_size(value) if key == 'bytes' else text}")
    return 0


def _examined(path: Path, entry: ModelEntry | None, manifest: Manifest, *, with_hashes: bool) -> dict[str, Any]:
    found = examine(path, read_layouts(manifest))
    shown = _document(entry or _entry(found, _own_name(found), _own_name(found), None, None), found)
    if with_hashes and path.is_file():
        cache = hashes.Hashes(model_list().path.with_name(hashes.CACHE_NAME))
        sha256 = cache.sha256(path)
        shown |= {"sha256": sha256, "AutoV2": sha256[: hashes.SHORT]}
        if found.kind == "lora":
            shown["AutoV3"] = cache.autov3(path)[: hashes.SHORT_LORA]
    return shown


def _document(entry: ModelEntry, found: Found) -> dict[str, Any]:
    layout = found.layout
    family = entry.family or found.family
    if entry.kind != "checkpoint" and not (entry.kind in ALONE and family):
        runs = "beside a checkpoint that it fits"
    else:
        runs = (found.runs or "Gesso's engine") if family else "nothing yet: no family reads this layout"
    return {
        "name": entry.name,
        "kind": entry.kind,
        "layout": layout.name if layout else "",
        "title": found.title,
        "family": family,
        "base": layout.base if layout else "",
        "runs": runs,
        "capabilities": list(entry.capabilities),
        "prediction": found.prediction,
        "dtype": found.dtype,
        "parameters": found.parameters,
        "bytes": found.nbytes,
        "needs": list(layout.needs) if layout else [],
        "licence": entry.licence or found.licence or "not stated",
        "path": str(found.path),
        "files": len(found.files),
    }


def find(name: str) -> Line:
    """The model of that name or title; InvalidRequest names the nearest."""
    known = lines()
    wanted = name.casefold()
    for line in known:
        if line.entry.name == wanted:
            return line
    for line in known:
        if line.entry.title.casefold() == wanted:
            return line
    near = difflib.get_close_matches(wanted, [line.entry.name for line in known], 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`gesso models list` lists them."
    raise InvalidRequest(f"There is no model {name!r}.", field="name", hint=hint, details={"nearest": near})


def _size(count: float) -> str:
    return f"{count / _GIB:.2f} GiB" if count >= _GIB / 10 else f"{count / 2**20:.1f} MiB"
