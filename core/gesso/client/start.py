"""Starts a daemon in the background and waits until it answers. It knows how to run one, not what one is."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, Optional, Tuple

from ..errors import AlreadyRunning, GessoError, StartFailed, UnsafeState, UsageError
from ..wire import discovery
from ..wire.home import Home, make_private
from ..wire.program import remembered
from .opening import Opened, Place, open_connection

START_SECONDS = 60.0
_POLL_SECONDS = 0.03
_TAIL_LINES = 20


def daemon_command(tcp: bool, home: Home) -> List[str]:
    """How to run the daemon from here."""
    words, ours = program(home)
    return [*words, *(["-m", "gesso.daemon"] if ours else ["serve"]), *(["--tcp"] if tcp else [])]


def program(home: Home) -> Tuple[List[str], bool]:
    """(``GESSO_COMMAND``, this Python if it has the daemon, `gesso` on the path or what `program.json` says; whether this Python)."""
    given = os.environ.get("GESSO_COMMAND")
    if given:
        words = shlex.split(given)
        return [os.path.abspath(words[0]) if os.path.dirname(words[0]) else words[0], *words[1:]], False
    if os.path.basename(sys.executable or "").lower().startswith("python") and _has_daemon():
        return [sys.executable], True
    found = shutil.which("gesso")
    known = remembered(home) if found is None else [found]
    if known is None:
        raise StartFailed(
            "Gesso's daemon is not installed where this program can find it.",
            hint="Install it with `pip install gesso`, or set GESSO_COMMAND to the path of `gesso`.",
        )
    return known, False


def _has_daemon() -> bool:
    try:
        return importlib.util.find_spec("gesso.daemon.__main__") is not None
    except ModuleNotFoundError:
        return False


def launch(place: Place, *, on_demand: bool = True, tcp: bool = False, timeout: float = START_SECONDS) -> Opened:
    """Start a daemon and connect to it, or to the one that another client started meanwhile; raises StartFailed.

    ``on_demand``: it leaves when nobody has needed it for a while. ``tcp``: it listens on loopback tcp even where we do not need it.
    """
    make_private(place.home.state)
    make_private(place.home.logs)
    deadline = time.monotonic() + timeout
    with _turn(place.home, deadline) as waited:
        if waited and discovery.is_owned(place.home):
            return open_connection(place)
        return _launch(place, daemon_command(tcp or place.transport == "tcp" or sys.platform == "win32", place.home), on_demand, deadline)


def _launch(place: Place, command: List[str], on_demand: bool, deadline: float) -> Opened:
    output = place.home.logs / "daemon.out"
    try:
        with open(output, "wb") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=place.home.state,
                env={**_environment(place), "GESSO_ON_DEMAND": "1" if on_demand else ""},
                start_new_session=True,
                creationflags=_creation_flags(),
            )
    except OSError as fault:
        raise StartFailed(f"The daemon could not be started with {command[0]}: {fault.strerror or fault}.") from fault
    threading.Thread(target=child.wait, name="gesso-reaper", daemon=True).start()
    return _wait(place, child, output, deadline)


def _wait(place: Place, child: "subprocess.Popen[bytes]", output: Path, deadline: float) -> Opened:
    home = place.home
    while time.monotonic() < deadline:
        ended = child.returncode
        info = discovery.read(home)
        if info is not None and (info.pid == child.pid or ended is not None or discovery.is_alive(info.pid)):
            try:
                return open_connection(place)
            except GessoError as fault:
                if not is_passing(fault):
                    raise
        if ended is not None and not discovery.is_owned(home):
            said = tail(output)
            *before, last = said.splitlines()
            hint = f"Before that it said:\n{said}" if before else f"Its log is {home.daemon_log}."
            raise StartFailed(f"The daemon ended while it started: {last.strip()}", hint=hint, details={"status": ended})
        time.sleep(_POLL_SECONDS)
    child.kill()
    raise StartFailed("The daemon was not ready in time.", hint=f"Its log is {home.daemon_log}.")


@contextlib.contextmanager
def _turn(home: Home, deadline: float) -> Iterator[bool]:
    """Clients start daemons one after another, lest a second one comes up when the first has left; gives whether there was a wait."""
    waited = False
    with open(home.state / "start.lock", "ab") as file:
        while not _locked(file):
            waited = True
            if time.monotonic() >= deadline:
                raise StartFailed("Another program has been starting a daemon for too long.", hint="End that program, then try again.")
            time.sleep(_POLL_SECONDS)
        yield waited


def _locked(file: BinaryIO) -> bool:
    """Take the lock, which ends when the file is closed; False where somebody else has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_passing(fault: GessoError) -> bool:
    """Whether a failed attempt to connect may be due to a daemon that is coming, going, or gone without removing its traces."""
    return not isinstance(fault, (UsageError, UnsafeState))


def refuse_if_running(place: Place) -> None:
    """Raise AlreadyRunning where a daemon owns the state."""
    if discovery.is_owned(place.home):
        info: Optional[discovery.DaemonInfo] = discovery.read(place.home)
        process = f" (process {info.pid})" if info is not None else ""
        raise AlreadyRunning(f"A daemon already runs on this state directory{process}.", hint="Use it, or end it with `gesso stop`.")


def tail(path: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, or what there is instead."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError as fault:
        return f"(its log {path} cannot be read: {fault.strerror or fault})"
    return "\n".join(text.strip().splitlines()[-lines:]) or "(nothing)"


def _environment(place: Place) -> Dict[str, str]:
    """Ours, fit for another working directory; what lies in ours is not imported by the daemon or its workers."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if os.environ.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in os.environ["PYTHONPATH"].split(os.pathsep))
    if os.environ.get("GESSO_HOME") or place.home != Home.find():
        environment["GESSO_HOME"] = str(place.home.config_file.parent)
    return environment


def _creation_flags() -> int:
    """On Windows: the daemon is not hit by our Ctrl-C and has no console. Elsewhere a session of its own does that."""
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
    return 0
