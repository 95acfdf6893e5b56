"""`gesso serve`, `status` and `stop`: the daemon's life as seen from a terminal. Only `serve` becomes the daemon; the others ask it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.config import Value, flags, key
from gesso.config.units import size


def serve(args: argparse.Namespace, _surface: Surface) -> int:
    """Run the daemon here until it is stopped, or in the background until it answers."""
    named = {"worker.device": args.device, "daemon.listen": args.listen}
    chosen = flags([*args.set, *(f"{name}={value}" for name, value in named.items() if value)])
    if args.detach:
        return _detach(args, chosen)
    from gesso.daemon.main import ServeOptions, on_demand
    from gesso.daemon.main import serve as run

    def ready() -> None:
        report.note(f"the daemon runs here, process {os.getpid()}; Ctrl-C ends it")

    return run(ServeOptions(tcp=args.tcp, on_demand=on_demand(), flags=chosen, on_ready=ready))


def _detach(args: argparse.Namespace, chosen: Mapping[str, Value]) -> int:
    from gesso.client import start_daemon

    for name, value in chosen.items():
        os.environ[key(name).variable] = key(name).shown(value)  # inherited by the process that becomes the daemon
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
    queue, storage = state["queue"], state["storage"]
    rows = [
        ("daemon", f"{state['version']}, process {state['pid']}, up {report.clock(float(state['uptime']))}"),
        ("device", _device(state)),
        ("queue", ", ".join(f"{count} {name}" for name, count in queue.items() if count or name in ("waiting", "running"))),
        *(("worker", _worker(worker)) for worker in state["workers"]),
        ("models", ", ".join(str(model["name"]) for model in state["models"]) or "none"),
        (
            "storage",
            f"{storage['blobs']} blobs, {size(storage['used'])} of {size(storage['limit'])}; {size(storage['disk_free'])} free",
        ),
        ("memory", ", ".join(f"{name} {size(taken)}" for name, taken in state["metrics"].get("memory", {}).items()) or "not known here"),
        *((("leaves", "when nobody has needed it for a while (setting idle.exit)"),) if state.get("on_demand") else ()),
        *((("leaves", "when the jobs that run have ended"),) if state.get("draining") else ()),
        *((("settings", f"not in force: {state['settings_fault']}"),) if state.get("settings_fault") else ()),
        *((("journal", f"a damaged one was moved to {storage['journal_moved_aside']}"),) if storage.get("journal_moved_aside") else ()),
    ]
    for name, text in rows:
        print(f"{name:8} {text}")


def _device(state: Mapping[str, Any]) -> str:
    if state.get("suspended"):
        return "given to another program; `gesso resume` takes it back"
    return str(state.get("device") or "not known yet: no worker has started")


def _worker(worker: Mapping[str, Any]) -> str:
    info = worker.get("info") or {}
    parts = [f"process {worker.get('pid')}", str(worker.get("state")), f"{len(worker.get('jobs', ()))} jobs"]
    if info.get("resident"):
        parts.append(f"holds {', '.join(info['resident'])}")
    if worker.get("restarts"):
        parts.append(f"restarted {worker['restarts']} times")
    return ", ".join(parts)


def suspend(args: argparse.Namespace, _surface: Surface) -> int:
    """Give the device away until `resume`."""
    return _lend(args, "suspend", {"suspended": True}, "the device is free; jobs wait until `gesso resume`")


def resume(args: argparse.Namespace, _surface: Surface) -> int:
    """Take the device back."""
    return _lend(args, "resume", {"suspended": False}, "the device is in use again")


def _lend(args: argparse.Namespace, what: str, document: Mapping[str, Any], sentence: str) -> int:
    from gesso.cli import work

    with work.connect(start=False) as client:
        getattr(client, what)()
    if args.json:
        report.document(document)
    else:
        report.note(sentence)
    return 0


def unload(args: argparse.Namespace, _surface: Surface) -> int:
    """Let weights leave the device."""
    from gesso.cli import work

    with work.connect(start=False) as client:
        client.unload(args.name)
    if args.json:
        report.document({"unloaded": args.name or "all"})
    else:
        report.note(f"the weights of {args.name or 'all models'} have left the device")
    return 0


def stop(args: argparse.Namespace, _surface: Surface) -> int:
    """End the daemon; what was accepted is kept for the next one."""
    from gesso.cli import work

    with work.connect(start=False) as client:
        client.stop(drain=args.drain)
    if args.json:
        report.document({"stopped": True})
    else:
        report.note("the daemon has stopped")
    return 0
