"""`gesso serve`, `status` and `stop`: the daemon's life as seen from a terminal. Only `serve` becomes the daemon; the others ask it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from gesso.cli import report
from gesso.cli.schema import Surface


def serve(args: argparse.Namespace, _surface: Surface) -> int:
    """Run the daemon here until it is stopped, or in the background until it answers."""
    if args.detach:
        return _detach(args)
    from gesso.daemon.main import ServeOptions
    from gesso.daemon.main import serve as run

    return run(ServeOptions(tcp=args.tcp, on_ready=lambda: report.note(f"the daemon runs here, process {os.getpid()}; Ctrl-C ends it")))


def _detach(args: argparse.Namespace) -> int:
    from gesso.client import start_daemon

    with start_daemon(tcp=args.tcp) as client:
        state = client.status()
    if args.json:
        report.document({"pid": state["pid"], "version": state["version"]})
    else:
        report.note(f"the daemon runs as process {state['pid']}; `gesso stop` ends it")
    return 0


def status(args: argparse.Namespace, _surface: Surface) -> int:
    """What the daemon is doing."""
    from gesso.cli import work

    with work.connect(start=False) as client:
        state = client.status()
    if args.json:
        report.document(state)
        return 0
    _print_state(state)
    return 0


def _print_state(state: Mapping[str, Any]) -> None:
    print(f"daemon   {state['version']}, process {state['pid']}, up {report.clock(float(state['uptime']))}")
    print(f"device   {state.get('device') or 'not known yet: no worker has started'}")
    for name in ("queue", "workers", "models", "storage"):
        print(f"{name:8} {_words(state.get(name))}")


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(part)}" for key, part in value.items()) or "-"
    if isinstance(value, list):
        return "; ".join(_words(part) for part in value) or "-"
    return str(value)


def stop(args: argparse.Namespace, _surface: Surface) -> int:
    """End the daemon; what was accepted is kept for the next one."""
    from gesso.cli import work

    with work.connect(start=False) as client:
        client.stop()
    if args.json:
        report.document({"stopped": True})
    else:
        report.note("the daemon has stopped")
    return 0
