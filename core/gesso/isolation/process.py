"""`python -m gesso.isolation.process`: an isolated plugin's server, started by a worker in the plugin's own environment. It imports the
plugin once and forks a process for each use; it opens no address and installs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesso import __version__, logs
from gesso.device.threads import pin, prepare
from gesso.link import die_with_parent
from gesso.link.isolated import ISOLATED, Begin, Born, Exited, Fork, Forked
from gesso.link.pipe import Pipe, PipeClosed
from gesso.manifest import Manifest
from gesso.plugin import Registry, add_stranger
from gesso.strangers import Shelf

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the worker hangs up, and until no process is left then."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m gesso.isolation.process", allow_abbrev=False)
    parser.add_argument("--pipe", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args(arguments)
    logs.to_stream()
    end = socket.socket(fileno=options.pipe)
    end.set_inheritable(False)
    prepare(options.threads)
    pin(options.threads)
    import gesso.isolation.use  # noqa: F401  (here, so that no process has to; and after torch was told its threads)

    registry = Registry(Manifest("", ""))
    pipe = Pipe(end, ISOLATED)
    with contextlib.suppress(PipeClosed):
        begin = pipe.receive()
        fault = imported(registry, options.name, Shelf(options.folder), begin.options if isinstance(begin, Begin) else {})
        pipe.send(Born(version=__version__, fault=fault))
        return Forking(pipe, registry, options.name, options.threads).serve()
    return 0


def imported(registry: Registry, name: str, shelf: Shelf, options: Mapping[str, Any]) -> str:
    """Import the plugin into the registry; what is wrong with it, or nothing."""
    record = shelf.records().get(name)
    stranger = None if record is None else shelf.stranger(shelf.standing(record))
    if stranger is None:
        return f"the plugin {name!r} is not there any more"
    faults = add_stranger(registry, stranger, options=options).faults
    for fault in faults:
        _log.error("%s %s", fault.message, fault.traceback)
    return faults[0].message if faults else ""


class Forking:
    """The server after the import: forks, and says how each process ended."""

    def __init__(self, pipe: Pipe, registry: Registry, name: str, threads: int) -> None:
        self._pipe = pipe
        self._registry = registry
        self._name = name
        self._threads = threads
        self._running: dict[int, int] = {}
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> int:
        """Fork as asked until the worker hangs up, and until no process is left then."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._pipe.fileno(), select.POLLIN)
        hung_up = False
        while self._running or not hung_up:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if ready - {self._wake} and not hung_up:
                try:
                    self._fork()
                except PipeClosed:
                    hung_up = True
                    poll.unregister(self._pipe.fileno())
        return 0

    def _fork(self) -> None:
        message, end = self._pipe.receive_with_file()
        if not isinstance(message, Fork) or end is None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: those of the maths libraries cope, and Gesso starts none here
            pid = os.fork()
        if pid == 0:
            self._become(end)
        end.close()
        self._running[pid] = message.number
        self._pipe.send(Forked(message.number, pid))

    def _become(self, end: socket.socket) -> None:
        """The new process: serves one use, and never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()  # what it starts ends with it
            die_with_parent()
            self._pipe.close()
            from gesso.isolation.use import Use

            Use(Pipe(end, ISOLATED), self._registry, self._name, self._threads).serve()
            status = 0
        except BaseException:
            _log.exception("a process of the plugin failed")
        finally:
            logging.shutdown()
            os._exit(status)

    def _reap(self) -> None:
        """Say how processes ended, and end what they started."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._running.pop(pid, None)
            if number is None:
                continue  # started by the plugin's import
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(PipeClosed):
                self._pipe.send(Exited(number, os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    sys.exit(main())
