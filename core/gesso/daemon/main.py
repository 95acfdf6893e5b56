"""The daemon as a process: umask, lock, log, signals, the loop. It serves nothing itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from dataclasses import replace

from gesso import logs
from gesso.config import Settings, load
from gesso.daemon import memory
from gesso.daemon.front import Front
from gesso.daemon.lock import Lock
from gesso.daemon.options import ServeOptions
from gesso.daemon.sockets import check_listen
from gesso.errors import GessoError
from gesso.wire import discovery
from gesso.wire.home import Home

__all__ = ["ServeOptions", "on_demand", "serve"]
_log = logging.getLogger(__name__)


def serve(options: ServeOptions) -> int:
    """Run the daemon until it is asked to stop; 0. Raises AlreadyRunning, UnsafeState, ... `gesso.client` runs one in the background."""
    home = options.home or Home.find()
    options = replace(options, tcp=options.tcp or os.environ.get("GESSO_TRANSPORT") == "tcp")
    os.umask(0o077)
    home.prepare()
    lock = Lock(home.lock_file, lambda: _published(home))
    handler = None
    try:
        settings = load(home.config_file, flags=options.flags)
        if listen := settings.text("daemon.listen"):
            check_listen(home, listen)
        memory.bound(settings.integer("daemon.memory"))
        handler = logs.to_file(home.daemon_log, settings.integer("logs.size"), settings.integer("logs.files"))
        asyncio.run(_run(home, options, settings))
    except GessoError as fault:
        _log.error("the daemon cannot run", extra={"code": fault.code, "fault": fault.message})
        raise
    finally:
        if handler is not None:
            logs.remove(handler)
        lock.release()
    return 0


def _published(home: Home) -> bool:
    info = discovery.read(home)
    return info is not None and discovery.is_alive(info.pid)


def on_demand() -> bool:
    """Whether a client started this process, for as long as somebody needs it; asked once, so that no child inherits the answer."""
    return os.environ.pop("GESSO_ON_DEMAND", "") == "1"


async def _run(home: Home, options: ServeOptions, settings: Settings) -> None:
    front = Front(home, options, settings)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: _log.error("%s", context["message"], exc_info=context.get("exception")))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, front.stopped.set)
    try:
        await front.start()
    except BaseException:
        await front.abandon()
        raise
    gc.freeze()
    if options.on_ready is not None:
        options.on_ready()
    try:
        await front.stopped.wait()
    finally:
        await front.close()
