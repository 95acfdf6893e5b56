"""Runs one command line: finds the handler, imports only its module, and reports every error in the one way that `report` knows."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from gesso import __version__, telemetry
from gesso.cli import report
from gesso.cli.parser import REMOTE, build
from gesso.cli.schema import Surface, load, with_strangers
from gesso.errors import GessoError, PluginError, UsageError
from gesso.wire.home import Home

WITHOUT_SCHEMAS = (
    "doctor", "plugins", "serve", "status", "stop", "jobs", "keys", "show", "models", "config", "storage", "logs", "uninstall"
)  # fmt: skip
"""Commands that still run where the compiled schema file is broken."""


def run(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    telemetry.switch_off()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _reported(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of our output left (`gesso jobs list | head`): nothing is wrong, and the interpreter must not flush into the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _reported(words: list[str]) -> int:
    try:
        return _run(words)
    except GessoError as error:
        return report.failure(error, as_json="--json" in words)
    except ImportError as fault:
        return report.failure(_broken(fault), as_json="--json" in words)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _broken(fault: ImportError) -> PluginError:
    """A part of Gesso, or what it needs, is missing or of the wrong version; that is the installation's fault, not the command's."""
    hint = f"Install it again ({sys.executable} -m pip install --force-reinstall gesso), or see `gesso doctor`."
    return PluginError(f"This installation of Gesso is broken: {fault}.", hint=hint)


def _run(words: list[str]) -> int:
    if words and words[0] == "--version":
        print(json.dumps({"version": __version__}) if "--json" in words else f"gesso {__version__}")
        return 0
    surface = describe()
    fitting = [entry for entry in surface.catalogues.get("commands", ()) if _begins(words, entry["name"])]
    if fitting:
        from gesso.cli.commands import function

        entry = max(fitting, key=lambda entry: len(entry["name"]))
        return int(function(entry["name"], entry["run"])(words[len(entry["name"].split()) :]))
    if surface.fault is not None and words and not words[0].startswith("-") and words[0] not in WITHOUT_SCHEMAS:
        raise surface.fault
    parser = build(surface, words)
    args = parser.parse_args(words)
    os.environ.update({name: value for _, name, _, _ in REMOTE if (value := getattr(args, name)) is not None})
    if not hasattr(args, "handler"):
        raise UsageError("Gesso needs a command.", hint="See `gesso --help`.")
    return int(resolve(args.handler)(args, surface))


def _begins(words: list[str], name: str) -> bool:
    """Whether a command line calls the command of that name; of `evaluate` and `evaluate starter` the longer one is meant."""
    parts = name.split()
    return words[: len(parts)] == parts


def describe() -> Surface:
    """Everything that can be asked for; a broken manifest is a fault in the surface."""
    from gesso.manifest import first_party

    try:
        manifest = first_party()
        return with_strangers(load(manifest.operations_file), Home.find().plugins)
    except PluginError as fault:
        return Surface(fault=fault)


def resolve(name: str) -> Callable[..., Any]:
    """``module:function`` -> the function."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def incomplete(args: argparse.Namespace, _surface: Surface) -> int:
    """A group was named without a command of it."""
    raise UsageError(f"`gesso {args.group}` needs a command.", hint=f"See `gesso {args.group} --help`.")
