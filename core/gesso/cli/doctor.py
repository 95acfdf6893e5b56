"""`gesso doctor`: looks at everything that a daemon needs and says how to mend what is wrong. It changes nothing."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from gesso import __version__
from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.errors import GessoError, UnsafeState
from gesso.wire.discovery import DaemonInfo, is_alive, read
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
        _schemas,
        _models,
        _plugins,
        _state,
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
        yield Finding("sqlite", "ok", sqlite3.sqlite_version)
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


def _disk(home: Home, _surface: Surface) -> Iterator[Finding]:
    place = next(path for path in (home.data, *home.data.parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free at {place}"
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
        return
    if not is_alive(info.pid):
        yield Finding(
            "daemon", "warning", f"{home.daemon_file} is left over from process {info.pid}, which is gone", "the next start replaces it"
        )
        yield from _socket(home)
        return
    yield from _running(info)


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
        yield Finding("daemon", "warning", f"{text}; this is {__version__}", "gesso stop, then start it again")
    else:
        yield Finding("daemon", "ok", text)
    for worker in state.get("workers", ()):
        for broken in (worker.get("info") or {}).get("plugin_faults", ()):
            yield Finding("plugins", "problem", str(broken), "gesso plugins list shows them; the daemon's worker.log has the details")
    yield Finding("device", "ok" if state.get("device") else "warning", str(state.get("device") or "no worker has reported one yet"))
