"""`gesso plugins`: what there is, what is on, and the owner's decisions about it. It imports no plugin; daemons follow the records."""

from __future__ import annotations

import argparse
import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gesso import distributions, environments
from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.errors import PluginError, UsageError
from gesso.manifest import first_party
from gesso.strangers import Record, Shelf
from gesso.wire.home import Home, make_private

_FILE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LARGEST = 4 << 20
_RESERVED = frozenset({"lock", "plugins"})


@dataclass(frozen=True)
class Line:
    """One plugin as `list` and `info` show it. ``state``: on, off, or changed; ``notice`` says why where the owner did not choose it."""

    name: str
    source: str
    state: str
    version: str
    title: str
    summary: str
    licence: str
    module: str
    provides: Mapping[str, Sequence[str]]
    extras: Sequence[str] = ()
    permissions: Sequence[str] = ()
    memory: str = "none"
    models: Sequence[str] = ()
    sha256: str = ""
    notice: str = ""
    isolation: str = "none"
    requires: Sequence[str] = ()


def shelf() -> Shelf:
    """The owner's plugins."""
    return Shelf(Home.find().plugins)


def lines() -> Iterator[Line]:
    """First-party plugins, then what the owner added, then what is installed and was never enabled."""
    for entry in first_party().plugins:
        yield Line(
            entry.name, "gesso", "on", "", entry.title, entry.summary, entry.licence, entry.module, dict(entry.provides), entry.extras,
            entry.permissions, entry.memory,
        )  # fmt: skip
    known = set()
    for standing in shelf().standings():
        record = standing.record
        known.add(record.name)
        state = "on" if standing.on else "changed" if record.enabled else "off"
        models = [f"{record.name}.{model['name']}" for model in record.models]
        yield Line(
            record.name, record.source, state, record.version, record.title, record.summary, record.licence, record.module,
            record.provides, record.asks.get("extras", ()), record.asks.get("permissions", ()), record.asks.get("memory", "none"),
            models, record.sha256, standing.notice, "venv" if record.environment else "none", record.asks.get("requires", ()),
        )  # fmt: skip
    for offer in distributions.offers():
        if offer.name not in known:
            yield _offered(offer)


def _offered(offer: distributions.Offer) -> Line:
    notice = ""
    try:
        entry = distributions.declaration(offer).plugins[0]
        said = (entry.title, entry.summary, entry.licence, entry.module, dict(entry.provides))
        asks, apart = (entry.extras, entry.permissions, entry.memory), (entry.isolation, entry.requires)
    except PluginError as fault:
        said, asks, apart, notice = (offer.name, "", "", offer.module, {}), ((), (), "none"), ("none", ()), fault.message
    return Line(offer.name, "distribution", "off", offer.version, *said, *asks, (), "", notice, *apart)


def listing(args: argparse.Namespace, _surface: Surface) -> int:
    """Every plugin, whether it is on, and what it provides."""
    found = list(lines())
    if args.json:
        report.document({"plugins": [asdict(line) for line in found]})
        return 0
    report.table([(line.name, line.state, _provided(line), line.summary) for line in found], ("plugin", "state", "provides", "what it is"))
    for line in found:
        if line.notice:
            report.note(line.notice)
    return 0


def _provided(line: Line) -> str:
    """Names where they are few, else how many."""
    kinds = {**line.provides, "models": line.models}
    parts = [f"{len(names)} {kind}" if len(names) > 2 else f"{kind} {', '.join(names)}" for kind, names in kinds.items() if names]
    return "; ".join(parts) or "-"


def info(args: argparse.Namespace, _surface: Surface) -> int:
    """Everything that is known of one plugin."""
    found = next((line for line in lines() if line.name == args.name), None)
    if found is None:
        raise _unknown(args.name)
    if args.json:
        report.document(asdict(found))
        return 0
    for key, value in asdict(found).items():
        shown = "; ".join(f"{kind} {', '.join(names)}" for kind, names in value.items()) if isinstance(value, dict) else value
        if shown:
            print(f"{key:11} {', '.join(shown) if isinstance(shown, (list, tuple)) else shown}")
    return 0


def add(args: argparse.Namespace, _surface: Surface) -> int:
    """Check a single file, take it in, and turn it on; the file of the same name that was there before is replaced."""
    path = Path(args.file)
    name = _name_of(path)
    content = _content(path)
    from gesso.cli.checking import check

    with tempfile.TemporaryDirectory(prefix="gesso-add-") as folder:  # what is checked is what is taken in, whoever writes meanwhile
        draft = Path(folder, path.name)
        draft.write_bytes(content)
        found = check(name, draft)
    here = _private()
    _refuse_taken(name, here)
    before = here.records().get(name)
    if before is not None and before.source != "file":
        raise PluginError(f"An installed distribution is enabled as {name!r} already.", field="file", hint="Give the file another name.")
    here.source(name).write_bytes(content)
    _record_file(here, name, found)
    return _tell(args, name, "on", "It is checked and on; a running daemon has it within a second.")


def _record_file(here: Shelf, name: str, found: Any) -> None:
    entry = dict(found.entry)
    record = Record(name, "file", True, entry.pop("version"), "", models=found.models, **entry)
    here.put(replace(record, sha256=here.content_hash(record)), found.compiled)


def enable(args: argparse.Namespace, _surface: Surface) -> int:
    """Check a plugin as it is now, record its version and content hash, and turn it on."""
    from gesso.cli.checking import check

    here = _private()
    record = here.records().get(args.name)
    if record is not None and record.source == "file":
        found = check(args.name, here.source(args.name))
        _record_file(here, args.name, found)
    elif _is_first_party(args.name):
        raise PluginError(f"{args.name!r} ships with Gesso and is always on.", field="name")
    else:
        _enable_distribution(args.name, here)
    return _tell(args, args.name, "on", "It is checked and on. A plugin is not a sandbox: it runs with your rights.")


def _enable_distribution(name: str, here: Shelf) -> None:
    """Check an installed plugin, in an environment made for it where it asks for one, and record it."""
    from gesso.cli.checking import check

    offer = distributions.find(name)
    before = distributions.content_hash(offer)
    with _environment(name, here.folder) as place:
        found = check(name, environment=place)
        entry = {**found.entry, "version": offer.version, "environment": place.name if place else ""}
        record = Record(name, "distribution", True, sha256=before, distribution=offer.distribution, models=found.models, **entry)
        here.put(record, found.compiled)
    environments.remove(name, here.folder, but=place)


@contextlib.contextmanager
def _environment(name: str, folder: Path | None = None) -> Iterator[Path | None]:
    """A new environment for an installed plugin that asks for one, else None. It stays in ``folder``, unless something fails."""
    entry = distributions.declaration(distributions.find(name)).plugins[0]
    if entry.isolation == "none":
        yield None
        return
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesso-check-")))
        place = environments.make(name, entry.requires, folder or scratch, report.note)
        stack.callback(environments.remove_one, place)
        yield place
        stack.pop_all().close() if folder is None else stack.pop_all()


def disable(args: argparse.Namespace, _surface: Surface) -> int:
    """Turn a plugin off; its record stays."""
    here = _private()
    record = here.records().get(args.name)
    if record is None:
        raise (
            PluginError(f"{args.name!r} ships with Gesso and stays on.", field="name")
            if _is_first_party(args.name)
            else _unknown(args.name)
        )
    here.put(replace(record, enabled=False, reason=""))
    return _tell(args, args.name, "off", "It is off; jobs that run go on.")


def remove(args: argparse.Namespace, _surface: Surface) -> int:
    """Forget a plugin: a single file goes, of a distribution only the record."""
    here = _private()
    record = here.records().get(args.name)
    if record is None:
        if _is_first_party(args.name):
            raise PluginError(f"{args.name!r} ships with Gesso and stays.", field="name")
        raise _unknown(args.name)
    here.remove(args.name)
    if args.json:
        report.document({"plugin": args.name, "state": "removed", "source": record.source})
    elif record.source == "file":
        report.note(f"{args.name} is removed; jobs that run go on")
    else:
        report.note(f"{args.name} is off and forgotten; `pip uninstall {record.distribution}` takes the distribution away")
    return 0


def check(args: argparse.Namespace, _surface: Surface) -> int:
    """Look at a file or a plugin in a process of its own and change nothing."""
    from gesso.cli.checking import check as look

    if args.target.endswith(".py"):
        path = Path(args.target)
        name = _name_of(path)
        _content(path)
        found = look(name, path)
    else:
        name = args.target
        record = shelf().records().get(name)
        if record is not None and record.source == "file":
            found = look(name, shelf().source(name))
        else:
            with _environment(name) as place:
                found = look(name, environment=place)
    provided = {kind: list(names) for kind, names in found.entry["provides"].items()}
    if args.json:
        report.document({"plugin": name, "faults": [], "provides": provided, "models": [model["name"] for model in found.models]})
    else:
        parts = [f"{kind} {', '.join(names)}" for kind, names in provided.items()]
        report.note(f"{name} is sound: {'; '.join(parts)}")
    return 0


def reload(args: argparse.Namespace, _surface: Surface) -> int:
    """Make running daemons look at the list and import the plugins again."""
    here = _private()
    here.touch()
    standings = here.standings()
    if args.json:
        report.document(
            {"plugins": {s.record.name: "on" if s.on else "off" for s in standings}, "notices": [s.notice for s in standings if s.notice]}
        )
        return 0
    for standing in standings:
        if standing.notice:
            report.note(standing.notice)
    report.note(f"{sum(standing.on for standing in standings)} of your {len(standings)} plugins are on; running daemons look at them now")
    return 0


def _tell(args: argparse.Namespace, name: str, state: str, sentence: str) -> int:
    record = shelf().records()[name]
    names = {kind: [f"{name}.{thing}" for thing in things] for kind, things in record.provides.items()}
    if args.json:
        report.document({"plugin": name, "state": state, "version": record.version, "sha256": record.sha256, "provides": names})
    else:
        provided = "; ".join(f"{kind} {', '.join(things)}" for kind, things in names.items())
        report.note(f"{name}: {provided}. {sentence}")
        if record.source == "distribution" or record.asks.get("permissions"):
            report.note(_asked(record))
    return 0


def _asked(record: Record) -> str:
    """What a plugin says that it needs, for whoever turns it on."""
    permissions = ", ".join(record.asks.get("permissions", ())) or "nothing"
    extras = ", ".join(record.asks.get("extras", ())) or "none"
    memory = record.asks.get("memory", "none")
    apart = f"; an environment of its own with {', '.join(record.asks.get('requires', ())) or 'nothing more'}" if record.environment else ""
    return f"it asks for: {permissions} (extras: {extras}; device memory: {memory}; licence: {record.licence or 'not said'}{apart})"


def _private() -> Shelf:
    here = shelf()
    make_private(here.folder)
    return here


def _name_of(path: Path) -> str:
    if path.suffix != ".py" or not _FILE_NAME.fullmatch(path.stem) or path.stem in _RESERVED:
        raise UsageError(
            f"A single file plugin is called like my_sampler.py (lower-case letters, digits, '_'), not {path.name!r}.", field="file"
        )
    return path.stem


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise UsageError(f"The file {path} cannot be read: {fault.strerror}.", field="file") from fault
    if len(content) > _LARGEST:
        raise UsageError(f"The file {path} has more than {_LARGEST >> 20} MiB.", field="file")
    return content


def _refuse_taken(name: str, here: Shelf) -> None:
    if _is_first_party(name):
        raise PluginError(f"The name {name!r} belongs to a plugin of Gesso.", field="file", hint="Give the file another name.")
    if name not in here.records() and any(offer.name == name for offer in distributions.offers()):
        raise PluginError(f"The name {name!r} belongs to an installed plugin.", field="file", hint="Give the file another name.")


def _is_first_party(name: str) -> bool:
    return any(entry.name == name for entry in first_party().plugins)


def _unknown(name: str) -> PluginError:
    import difflib

    near = difflib.get_close_matches(name, [line.name for line in lines()], 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`gesso plugins list` lists them."
    return PluginError(f"There is no plugin {name!r}.", field="name", hint=hint)
