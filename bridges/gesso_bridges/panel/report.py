"""A report to copy into an issue: versions, how things stand, the last error, the end of the log. It holds no prompt and no token."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import List, Mapping

from gesso.client.start import tail
from gesso.wire.home import Home
from gesso.wire.message import PACKAGE_VERSION

from .session import Session


def log_path(home: Home) -> Path:
    """The file that "open log" opens: the daemon's own log, else what it said while it started."""
    return home.daemon_log if home.daemon_log.exists() else home.logs / "daemon.out"


def report(session: Session, host: Mapping[str, str]) -> str:
    """The text. ``host``: what the host says about itself, such as its version."""
    state, status = session.state, session.status
    lines: List[str] = [
        f"Gesso bridge {PACKAGE_VERSION} ({session.name})",
        *(f"{name}: {value}" for name, value in host.items()),
        f"Python {sys.version.split()[0]}, {platform.platform()}",
        f"state: {state.name}: {state.sentence}" + (f" [{state.code}]" if state.code else ""),
    ]
    if state.hint:
        lines.append(f"hint: {state.hint}")
    if status:
        lines.append(f"daemon: version {status.get('version')}, device {status.get('device')}, queue {status.get('queue')}")
    for task in list(session.tasks.values())[-5:]:
        code = f" [{task.error.code}]" if task.error is not None else ""
        lines.append(f"job {task.job}: {task.operation}, {task.state}{code}")
    fault = session.last_error
    if fault is not None:
        lines.append(f"last error: {fault.message} [{fault.code}]" + (f" {fault.hint}" if fault.hint else ""))
    lines += ["", f"the end of {log_path(session.home)}:", tail(log_path(session.home))]
    return "\n".join(lines) + "\n"
