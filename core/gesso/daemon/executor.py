"""Executors start, kill and watch worker processes, and nothing else: retries live in the journal. `LocalExecutor` spawns
children on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gesso import telemetry
from gesso.daemon import memory
from gesso.daemon.output import WorkerOutput
from gesso.link import SECRET_VARIABLE

COMMAND = (sys.executable, "-P", "-m", "gesso.worker")
_LAST_LINES = 0.5
"""Seconds to wait for what a worker that has ended still said; what it started itself may hold its pipe open."""


@dataclass(frozen=True)
class Credentials:
    """What a worker needs to find and convince the front. The secret travels in its environment, never in its arguments."""

    endpoint: str
    secret: str
    black_box: Path


class Handle(Protocol):
    """A worker process that was started."""

    pid: int

    def kill(self) -> None:
        """End it at once, with everything that it started."""
        ...


Exited = Callable[[int], None]


class Executor(Protocol):
    """A place where workers run."""

    def start(self, device: str, credentials: Credentials, exited: Exited) -> Handle:
        """Start a worker; ``exited`` gets its exit status (negative: the signal) on the loop, once. OSError if it cannot be started."""
        ...


@dataclass
class _Child:
    pid: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        if self.process.returncode is None:  # else the number may belong to somebody else by now
            os.killpg(self.pid, signal.SIGKILL)


class LocalExecutor:
    """Children in sessions of their own, whose output goes to one bounded log. They are spawned by exec, never forked off a live front."""

    def __init__(self, command: Sequence[str], output: WorkerOutput) -> None:
        """``command`` as far as it is the same for every life: program and the owner's files."""
        self._command = tuple(command)
        self._output = output
        self._loop = asyncio.get_running_loop()

    def start(self, device: str, credentials: Credentials, exited: Exited) -> Handle:
        """Spawn it from the main thread: the kernel ties its life to the thread that spawned it."""
        arguments = ("--link", credentials.endpoint, "--device", device, "--black-box", str(credentials.black_box))
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                (*self._command, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env={**os.environ, **telemetry.OFF, SECRET_VARIABLE: credentials.secret},
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        memory.unbound(process.pid)
        pump = threading.Thread(target=self._output.pump, args=(reading, process.pid), name="gesso-output", daemon=True)
        pump.start()
        threading.Thread(target=self._watch, args=(process, pump, exited), name="gesso-watch", daemon=True).start()
        return _Child(process.pid, process)

    def _watch(self, process: subprocess.Popen[bytes], pump: threading.Thread, exited: Exited) -> None:
        status = process.wait()
        pump.join(_LAST_LINES)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the front has left already
            self._loop.call_soon_threadsafe(exited, status)
