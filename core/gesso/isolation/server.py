"""The worker's end of an isolated plugin: one server process in its environment, which imports it once and forks a process for each use. A
server that has ended is started again; one whose plugin cannot be imported is not, until the plugins are looked at anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesso import __version__, environments
from gesso.errors import PluginError
from gesso.isolation.session import Ask, End, Session
from gesso.link.exits import describe_exit
from gesso.link.isolated import ISOLATED, Begin, Born, Exited, Fork, Forked
from gesso.link.messages import Message
from gesso.link.pipe import Pipe, PipeClosed, pair

_log = logging.getLogger(__name__)
LIMIT_VARIABLE = "GESSO_ISOLATION_SECONDS"
LIMIT = 20.0
"""Seconds that a step of a sampler or operation may take over there; what takes longer belongs into a `Host` call."""
IMPORT_LIMIT = 120.0
_FORK_LIMIT = 20.0
_EXIT_LIMIT = 2.0


class Server:
    """The plugin ``name`` of the owner's ``folder``, in the environment ``place``. Sessions may be asked for by any thread."""

    def __init__(self, name: str, folder: Path, place: Path, threads: int, options: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._folder = folder
        self._place = place
        self._threads = threads
        self._options = options or {}
        self._anew = f"`gesso plugins enable {name}` makes its environment anew."
        self._limit = float(os.environ.get(LIMIT_VARIABLE, LIMIT))
        self._lock = threading.Lock()
        self._pipe: Pipe | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._born = False
        self._hopeless: PluginError | None = None
        self._uses = 0
        self._open: set[int] = set()
        self._statuses: dict[int, int] = {}

    def start(self) -> None:
        """Have the process started; it imports the plugin meanwhile. Whoever needs one is told why there is none."""
        with self._lock, contextlib.suppress(PluginError):
            if self._pipe is None:
                self._start()

    def session(self, ask: Ask | None = None) -> Session:
        """A new process of the plugin; PluginError where there can be none."""
        with self._lock:
            for again in (True, False):
                try:
                    return self._forked(ask)
                except PipeClosed as fault:  # the server was ended by somebody; its next one may live
                    self._drop()
                    if not again:
                        raise self._error("ended while it started a process") from fault
        raise AssertionError("unreachable")

    def _forked(self, ask: Ask | None) -> Session:
        if self._hopeless is not None:
            raise self._hopeless
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        if not self._born:
            self._hear_born(self._pipe)
        self._uses += 1
        number = self._uses
        self._open.add(number)
        ours, theirs = pair(ISOLATED)
        try:
            with theirs:
                self._pipe.send(Fork(number), file=theirs)
            pid = self._hear_forked(number)
        except PipeClosed:
            ours.close()
            raise
        return Session(self.name, ours, self._limit, lambda how: self._end(number, pid, how), ask)

    def _start(self) -> None:
        ours, theirs = pair(ISOLATED)
        command = [
            str(environments.python_of(self._place)), "-P", "-m", "gesso.isolation.process", "--pipe", str(theirs.fileno()),
            "--name", self.name, "--folder", str(self._folder), "--threads", str(self._threads),
        ]  # fmt: skip
        try:
            with theirs:
                self._process = subprocess.Popen(command, env=environments.environ(), stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        except OSError as fault:
            ours.close()
            raise self._error(f"cannot be started: {fault.strerror}", self._anew) from fault
        self._pipe, self._born, self._started = ours, False, time.monotonic()
        weakref.finalize(self, _hang_up, ours, self._process)
        with contextlib.suppress(PipeClosed):  # its end is noticed when it is needed
            ours.send(Begin(self._options))

    def _hear_born(self, pipe: Pipe) -> None:
        try:
            message = pipe.receive(max(0.1, self._started + IMPORT_LIMIT - time.monotonic()))
        except TimeoutError:
            self._give_up(f"was not imported within {IMPORT_LIMIT:g} seconds")
        except PipeClosed:
            self._give_up(f"{self._last_words()} while it was imported")
        else:
            fault = message.fault if isinstance(message, Born) else "it said something else"
            if isinstance(message, Born) and message.version != __version__ and not fault:
                fault = f"its environment holds Gesso {message.version}, this is {__version__}"
            if fault:
                self._give_up(f"cannot be used: {fault}")
            self._born = True

    def _hear_forked(self, number: int) -> int:
        """The process of that number."""
        deadline = time.monotonic() + _FORK_LIMIT
        while True:
            message = self._hear(deadline)
            if isinstance(message, Forked) and message.number == number:
                return message.pid

    def _give_up(self, what: str) -> None:
        self._drop()
        self._hopeless = self._error(what, self._anew)
        _log.error("%s", self._hopeless.message)
        raise self._hopeless

    def _last_words(self) -> str:
        """How the server ended, which has hung up."""
        assert self._process is not None
        try:
            return describe_exit(self._process.wait(_EXIT_LIMIT))
        except subprocess.TimeoutExpired:
            return "hung up"

    def _hear(self, deadline: float) -> Message:
        """The next message of the server; what it says of ends is noted on the way."""
        if self._pipe is None:
            raise PipeClosed("The server of the plugin is gone.")
        try:
            message = self._pipe.receive(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise PipeClosed("The server of the plugin does not answer.") from None
        if isinstance(message, Exited) and message.number in self._open:
            self._statuses[message.number] = message.status
        return message

    def _end(self, number: int, pid: int, how: End) -> str:
        """A session is over; for one whose process died, what of."""
        with self._lock:
            if how == "done":
                self._open.discard(number)
                return "was ended"
            deadline = time.monotonic() + _EXIT_LIMIT
            with contextlib.suppress(PipeClosed):
                while how == "died" and number not in self._statuses:
                    self._hear(deadline)
            self._open.discard(number)
            status = self._statuses.pop(number, None)
            if status is not None:
                return describe_exit(status)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            return "was ended"

    def _drop(self) -> None:
        if self._pipe is not None and self._process is not None:
            self._process.kill()
            _hang_up(self._pipe, self._process)
        self._pipe, self._process, self._born = None, None, False

    def _error(self, what: str, hint: str | None = None) -> PluginError:
        return PluginError(f"The isolated plugin {self.name!r} {what}.", hint=hint, details={"plugin": self.name})


def _hang_up(pipe: Pipe, process: subprocess.Popen[bytes]) -> None:
    """The server leaves once nothing runs in it any more; nobody waits for that."""
    pipe.close()
    threading.Thread(target=process.wait, name="gesso-reap", daemon=True).start()
