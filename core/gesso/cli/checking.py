"""Has a stranger's plugin looked at in a throw-away process, with a time limit, and says what came of it. It imports nothing of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesso import environments
from gesso.errors import PluginError

LIMIT_VARIABLE = "GESSO_PLUGIN_CHECK_SECONDS"
LIMIT = 120.0
"""Seconds that importing a plugin may take, torch included, on a slow disk."""
_WORDS = 400


@dataclass(frozen=True)
class Checked:
    """A plugin without fault: what it declares or registers, its models, its compiled schemas."""

    entry: Mapping[str, Any]
    models: tuple[Mapping[str, Any], ...]
    compiled: Mapping[str, Any]


def check(name: str, file: Path | None = None, environment: Path | None = None) -> Checked:
    """Check a single file, or the installed plugin of that name; PluginError names the plugin, the hook and the fault.

    ``environment``: where an isolated plugin is to be imported.
    """
    python = sys.executable if environment is None else str(environments.python_of(environment))
    inherited = None if environment is None else environments.environ()
    with tempfile.TemporaryDirectory(prefix="gesso-check-") as folder:
        out, words = Path(folder, "report.json"), Path(folder, "words")
        command = [python, "-P", "-m", "gesso.plugin.check", "--out", str(out), "--name", name]
        if file is not None:
            command += ["--file", str(file.absolute())]
        status = _run(name, command, words, inherited)
        report = _report(out)
        if report is None:
            last = words.read_text(encoding="utf-8", errors="replace").strip()[-_WORDS:]
            raise _fault(name, "", f"The plugin {name!r} ended the process that checked it (exit status {status}).", last)
    for fault in report["faults"]:
        raise _fault(name, fault["hook"], fault["message"], fault["traceback"])
    _suits_the_command_line(name, report["compiled"])
    return Checked(report["entry"], tuple(report["models"]), report["compiled"])


def _run(name: str, command: list[str], words: Path, environ: Mapping[str, str] | None) -> int:
    limit = float(os.environ.get(LIMIT_VARIABLE, LIMIT))
    traced = bool(os.environ.get("GESSO_TRACE_PLUGINS"))
    with words.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=words.parent,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=None if traced else sink,
            start_new_session=True,
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            raise _fault(name, "", f"The plugin {name!r} was not imported within {limit:g} seconds.", "") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it started
            process.wait()


def _report(out: Path) -> dict[str, Any] | None:
    try:
        report = json.loads(out.read_bytes())
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def _fault(name: str, hook: str, message: str, traceback: str) -> PluginError:
    return PluginError(message, hint="It is not enabled.", details={"plugin": name, "hook": hook, "traceback": traceback})


def _suits_the_command_line(name: str, compiled: Mapping[str, Any]) -> None:
    """Options are made of its parameters; one that cannot be made would break the help of everything."""
    from gesso.cli.options import add_parameters
    from gesso.cli.parser import Parser
    from gesso.cli.schema import parse

    try:
        for operation in parse(compiled).operations.values():
            add_parameters(Parser(add_help=False), operation)
    except PluginError:
        raise
    except Exception as fault:
        raise _fault(name, "gesso_operations", f"The command line cannot show the operations of {name!r}: {fault}.", "") from fault
