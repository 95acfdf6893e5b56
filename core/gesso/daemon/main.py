"""The daemon as a process: umask, lock, log, signals, the loop, and how it detaches. It serves nothing itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

from gesso.daemon import logs
from gesso.daemon.front import Front
from gesso.daemon.lock import Lock
from gesso.daemon.options import ServeOptions
from gesso.errors import GessoError, StartFailed
from gesso.wire import discovery
from gesso.wire.home import Home

__all__ = ["ServeOptions", "serve"]
_log = logging.getLogger(__name__)
_START = 20.0


def serve(options: ServeOptions) -> int:
    """Run the daemon until it is asked to stop; with ``detach``, until another process runs it. Raises AlreadyRunning, UnsafeState, ..."""
    home = options.home or Home.find()
    options = replace(options, tcp=options.tcp or os.environ.get("GESSO_TRANSPORT") == "tcp")
    os.umask(0o077)
    home.prepare()
    if options.detach:
        return _detach(home, options)
    lock = Lock(home.lock_file)
    handler = logs.to_file(home.daemon_log)
    try:
        asyncio.run(_run(home, options))
    except GessoError as fault:
        _log.error("the daemon cannot run", extra={"code": fault.code, "fault": fault.message})
        raise
    finally:
        logs.remove(handler)
        lock.release()
    return 0


async def _run(home: Home, options: ServeOptions) -> None:
    front = Front(home, options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, front.stopped.set)
    await front.start()
    gc.freeze()
    try:
        await front.stopped.wait()
    finally:
        await front.close()


def arguments(options: ServeOptions) -> list[str]:
    """The command line that `python -m gesso.daemon` turns back into these options."""
    flags = [name for name, on in (("--tcp", options.tcp), ("--no-prewarm", not options.prewarm)) if on]
    idle = [] if options.idle_exit is None else ["--idle-exit", str(options.idle_exit)]
    return [*flags, "--device", options.device, "--storage-limit", str(options.storage_limit), *idle]


def _detach(home: Home, options: ServeOptions) -> int:
    """Start the daemon in a session of its own and wait until it has published itself, which is after it can answer."""
    output = home.logs / "daemon.out"
    with output.open("wb") as file:
        command = [sys.executable, "-m", "gesso.daemon", *arguments(options)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        info = discovery.read(home)
        if info is not None and info.pid == child.pid:
            print(child.pid)
            return 0
        if child.poll() is not None:
            words = output.read_text(errors="replace").strip() or f"exit status {child.returncode}"
            raise StartFailed(f"The daemon could not be started: {words}")
        time.sleep(0.02)
    child.kill()
    raise StartFailed(f"The daemon was not ready within {_START:g} seconds.", hint=f"Its log is {home.daemon_log}.")
