"""`gesso doctor`: looks at everything that a daemon needs and says how to mend what is wrong. It changes nothing."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from gesso import __version__
from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.config import load
from gesso.config.units import size
from gesso.errors import GessoError, UnsafeState
from gesso.wire.discovery import DaemonInfo, is_alive, is_owned, read
from gesso.wire.home import Home, check_private

State = Literal["ok", "warning", "problem"]

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
    "pillow",
    "pydantic",
    "pluggy",
    "jsonschema-rs",
    "rich",
)
"""Distributions whose absence stops the worker or the front; pyzmq is looked at with its library."""

_ASK_TORCH = """
import torch
gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(", ".join(gpus) or f"the processor, by torch {torch.__version__}; no GPU that it can use")
"""
_DEVICE_SECONDS = 60.0
LIBZMQ_NEEDED = (4, 3, 5)
DISK_NEEDED = 1 * 2**30
DISK_COMFORT = 5 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``fix`` says what to do, where something is to be done."""

    check: str
    state: State
    finding: str
    fix: str | None = None


def run(args: argparse.Namespace, surface: Surface) -> int:
    """Look at everything; exit code 1 where there is a problem."""
    home = Home.find()
    checks: tuple[Callable[[Home, Surface], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _libraries,
        _settings,
        _schemas,
        _models,
        _plugins,
        _state,
        _left_over,
        _disk,
        _daemon,
    )
    found = [finding for check in checks for finding in check(home, surface)]
    problems = sum(finding.state == "problem" for finding in found)
    if args.json:
        report.document({"version": __version__, "problems": problems, "findings": [asdict(finding) for finding in found]})
        return 1 if problems else 0
    for finding in found:
        print(f"{finding.state:8} {finding.check:10} {finding.finding}")
        if finding.fix:
            print(f"{'':19} -> {finding.fix}")
    print(f"\n{problems} problem{'' if problems == 1 else 's'}" if problems else "\nno problems")
    return 1 if problems else 0


def _python(_home: Home, _surface: Surface) -> Iterator[Finding]:
    yield Finding("gesso", "ok", f"{__version__}, at {Path(__file__).resolve().parents[1]}")
    yield Finding("python", "ok", f"{sys.version.split()[0]}, {sys.executable}")


def _packages(_home: Home, _surface: Surface) -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("packages", "problem", f"{name} is not installed", f"{sys.executable} -m pip install gesso")
    yield Finding("packages", "ok", ", ".join(found))


def _libraries(_home: Home, _surface: Surface) -> Iterator[Finding]:
    import sqlite3

    try:
        sqlite3.connect(":memory:").close()
        note = "has the WAL-reset defect of SQLite before 3.51.3, from which the journal's single connection is safe"
        fix = "open journal.sqlite with no other program while the daemon runs, or use a Python with SQLite 3.51.3 or newer"
        flawed = wal_reset_defect(sqlite3.sqlite_version_info)
        yield Finding("sqlite", "ok", f"{sqlite3.sqlite_version}{f', {note}' if flawed else ''}", fix if flawed else None)
    except sqlite3.Error as fault:
        yield Finding("sqlite", "problem", f"SQLite does not work: {fault}", "install a Python that was built with SQLite")
    try:
        import zmq
    except ImportError as fault:
        yield Finding("libzmq", "problem", f"pyzmq cannot be loaded: {fault}", f"{sys.executable} -m pip install 'pyzmq>=26'")
        return
    text = f"{zmq.zmq_version()} (pyzmq {zmq.pyzmq_version()})"
    if zmq.zmq_version_info() < LIBZMQ_NEEDED:
        yield Finding("libzmq", "problem", f"{text} has known holes", f"{sys.executable} -m pip install --upgrade 'pyzmq>=26'")
    else:
        yield Finding("libzmq", "ok", text)


def wal_reset_defect(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite can lose committed writes of a WAL database that two connections use (sqlite.org/changes.html, 3.51.3)."""
    repaired = (
        version >= (3, 51, 3) or (version[:2], version[2] >= 7) == ((3, 50), True) or (version[:2], version[2] >= 6) == ((3, 44), True)
    )
    return version >= (3, 7, 0) and not repaired


def _settings(home: Home, _surface: Surface) -> Iterator[Finding]:
    try:
        settings = load(home.config_file)
    except GessoError as fault:
        yield Finding("settings", "problem", fault.message, fault.hint or "gesso config list shows what a setting may be")
        return
    changed = [name for name, source in settings.sources.items() if source != "default"]
    yield Finding("settings", "ok", f"{home.config_file}: {', '.join(changed) or 'every setting has its default'}")


def _schemas(_home: Home, surface: Surface) -> Iterator[Finding]:
    if surface.fault is not None:
        yield Finding("operations", "problem", surface.fault.message, surface.fault.hint)
        return
    counts = ", ".join(f"{len(entries)} {kind}" for kind, entries in surface.catalogues.items())
    yield Finding("operations", "ok", f"{', '.join(surface.operations)}; {counts}")


def _models(_home: Home, _surface: Surface) -> Iterator[Finding]:
    from gesso.manifest import first_party

    try:
        entries = first_party().models
    except GessoError as fault:
        yield Finding("models", "problem", fault.message, fault.hint)
        return
    for entry in entries:
        if entry.path is not None and not entry.path.exists():
            fix = (
                "install Gesso again, or train it: gesso train starter" if entry.name == "starter" else f"put its files there: {entry.path}"
            )
            yield Finding("models", "warning", f"{entry.name} has no files at {entry.path}", fix)
        else:
            yield Finding("models", "ok", f"{entry.name}: {', '.join(entry.capabilities)}")


def _plugins(home: Home, _surface: Surface) -> Iterator[Finding]:
    from gesso.strangers import Shelf

    try:
        standings = Shelf(home.plugins).standings()
    except GessoError as fault:
        yield Finding("plugins", "problem", fault.message, fault.hint)
        return
    for standing in standings:
        if standing.notice:
            yield Finding("plugins", "warning", standing.notice, f"gesso plugins enable {standing.record.name}")
    if standings:
        on = ", ".join(standing.record.name for standing in standings if standing.on)
        yield Finding("plugins", "ok", f"yours that are on: {on or 'none'}")


def _state(home: Home, _surface: Surface) -> Iterator[Finding]:
    wrong = False
    for path in home.private:
        if not os.path.lexists(path):
            continue
        try:
            check_private(path)
        except UnsafeState as fault:
            wrong = True
            yield Finding("state", "problem", fault.message, fault.hint)
    if not wrong:
        place = f"{home.data}" if home.data.exists() else f"{home.data} (made at the first start)"
        yield Finding("state", "ok", f"{place}; log: {home.daemon_log}")


def _left_over(home: Home, _surface: Surface) -> Iterator[Finding]:
    """What crashes leave behind. The next start sweeps most of it; while a daemon runs, nothing of it can be told from work under way."""
    for path in sorted(home.state.glob("journal-damaged-*.sqlite")) if home.state.is_dir() else ():
        fix = "what it holds can be looked at with the sqlite3 program; remove it once you need it no more"
        yield Finding("stale", "warning", f"{path} is a damaged journal that was moved aside", fix)
    if is_owned(home):
        return
    rest = [
        *(home.blobs.glob(".tmp-*") if home.blobs.is_dir() else ()),
        *(home.incoming.iterdir() if home.incoming.is_dir() else ()),
        *(home.runtime.glob("worker-*.box") if home.runtime.is_dir() else ()),
    ]
    if rest:
        text = f"{len(rest)} file{'' if len(rest) == 1 else 's'} of a daemon that did not end in peace, such as {rest[0]}"
        yield Finding("stale", "warning", text, "the next start of the daemon looks at them and sweeps them away")


def _disk(home: Home, _surface: Surface) -> Iterator[Finding]:
    place = next(path for path in (home.data, *home.data.parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{size(free)} free at {place}"
    fix = "free some space there, or move the state with GESSO_HOME"
    if free < DISK_NEEDED:
        yield Finding("disk", "problem", text, fix)
    elif free < DISK_COMFORT:
        yield Finding("disk", "warning", text, fix)
    else:
        yield Finding("disk", "ok", text)


def _daemon(home: Home, _surface: Surface) -> Iterator[Finding]:
    try:
        info = read(home)
    except UnsafeState as fault:
        yield Finding("daemon", "problem", fault.message, fault.hint)
        return
    if info is None:
        if os.path.lexists(home.daemon_file):
            yield Finding("daemon", "warning", f"{home.daemon_file} cannot be read", "gesso serve writes it anew; or remove it")
        else:
            yield Finding("daemon", "ok", "none runs; commands that generate start one")
        yield from _socket(home)
        yield _device()
        return
    if not is_alive(info.pid):
        yield Finding(
            "daemon", "warning", f"{home.daemon_file} is left over from process {info.pid}, which is gone", "the next start replaces it"
        )
        yield from _socket(home)
        return
    yield from _running(info)


def _device() -> Finding:
    """Ask torch in a process of its own, since no worker has reported anything: a broken driver must not end the doctor."""
    try:
        told = subprocess.run([sys.executable, "-c", _ASK_TORCH], check=True, capture_output=True, text=True, timeout=_DEVICE_SECONDS)
        return Finding("device", "ok", told.stdout.strip())
    except subprocess.TimeoutExpired:
        return Finding("device", "problem", "torch does not answer", "restart the machine, or its graphics driver")
    except (OSError, subprocess.CalledProcessError) as fault:
        said = (getattr(fault, "stderr", "") or str(fault)).strip().splitlines()
        fix = f"{sys.executable} -m pip install --force-reinstall torch"
        return Finding("device", "problem", f"torch cannot be imported: {said[-1] if said else fault}", fix)


def _socket(home: Home) -> Iterator[Finding]:
    """A socket that nobody listens on is swept away by the next start; anything else in its place is not."""
    try:
        path = home.socket_path()
    except UnsafeState as fault:
        yield Finding("socket", "problem", fault.message, fault.hint)
        return
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        yield Finding("socket", "problem", f"{path} is in the way of the daemon's socket", f"move it away: mv '{path}' '{path}.old'")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            yield Finding("socket", "warning", f"{path} is left over; nobody listens on it", "the next start replaces it")


def _running(info: DaemonInfo) -> Iterator[Finding]:
    from gesso.client import Client

    try:
        with Client(start=False, home=Home.find()) as client:
            state = client.status()
    except GessoError as fault:
        yield Finding(
            "daemon", "problem", f"process {info.pid} lives but does not answer: {fault.message}", fault.hint or f"end it: kill {info.pid}"
        )
        return
    version = str(state.get("version"))
    text = f"running, process {state.get('pid')}, version {version}"
    if version != __version__:
        fix = "the next command that generates restarts it if it is the older one; or: gesso stop --drain"
        yield Finding("daemon", "warning", f"{text}; this is {__version__}", fix)
    else:
        yield Finding("daemon", "ok", text)
    if state.get("settings_fault"):
        yield Finding("settings", "problem", f"not in force: {state['settings_fault']}", "correct that line; the daemon notices by itself")
    for worker in state.get("workers", ()):
        for broken in (worker.get("info") or {}).get("plugin_faults", ()):
            yield Finding("plugins", "problem", str(broken), "gesso plugins list shows them; the daemon's worker.log has the details")
    yield Finding("device", "ok" if state.get("device") else "warning", str(state.get("device") or "no worker has reported one yet"))
