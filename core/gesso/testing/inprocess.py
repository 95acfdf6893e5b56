"""A daemon inside the test's own process: the real front on a thread, the real worker on another, real sockets between them and a client.
Breakpoints, monkeypatches and coverage reach the plugin in it. What ends a worker ends the test run: crashes are for `gesso_daemon`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gesso.client import Client
from gesso.config import load
from gesso.daemon.executor import Credentials, Exited, Handle
from gesso.daemon.front import Front
from gesso.daemon.lock import Lock
from gesso.daemon.options import ServeOptions
from gesso.daemon.output import WorkerOutput
from gesso.link import WorkerLink
from gesso.link.messages import Shutdown
from gesso.manifest import first_party, read
from gesso.plugin import Registry, add_stranger, build_plugins
from gesso.plugin.check import checked
from gesso.strangers import Stranger
from gesso.wire.home import Home
from gesso.worker.__main__ import parsed, work

_log = logging.getLogger(__name__)
_PATIENCE = 60.0


class InProcessDaemon:
    """A daemon with the state directory ``home`` and the plugins that these `plugin_manifest.toml` declare beside those of Gesso; what one
    calls x is ``plugin.x``. Raises AssertionError with a plugin's first fault. While it runs, torch's global random numbers are the
    worker's.
    """

    def __init__(self, home: Path, manifests: Sequence[Path] = ()) -> None:
        self._home = Home.find(home)
        self._home.prepare()
        self._registry = build_plugins(first_party())
        schemas = [first_party().operations_file, *(self._take_in(manifest) for manifest in manifests)]
        self._options = ServeOptions(
            home=self._home, prewarm=False, worker_command=(), schema_files=tuple(schemas), executor=self._executor
        )
        self._ready = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gesso-front", daemon=True)
        self._thread.start()
        assert self._ready.wait(_PATIENCE), "the daemon did not start"
        if self._fault is not None:
            raise self._fault
        self.client = Client(start=False, home=home, name="pytest")

    def close(self) -> None:
        """End it; idempotent."""
        self.client.close()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._front.stopped.set)
            self._thread.join(_PATIENCE)

    def _take_in(self, manifest: Path) -> Path:
        """Register a plugin; its compiled schemas, as a file."""
        declared = read(manifest)
        stranger = Stranger(declared.plugins[0], models=declared.models)
        report = checked(stranger, declared=True)
        assert not report["faults"], "\n".join((report["faults"][0]["message"], report["faults"][0]["traceback"]))
        add_stranger(self._registry, stranger)
        compiled = self._home.state / f"{stranger.entry.name}.compiled.json"
        compiled.write_text(json.dumps(report["compiled"]), encoding="utf-8")
        return compiled

    def _executor(self, command: Sequence[str], _output: WorkerOutput) -> _Threads:
        return _Threads(command, self._registry)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as fault:
            self._fault = fault
            _log.exception("the daemon of the test failed")
            self._ready.set()

    async def _serve(self) -> None:
        lock = Lock(self._home.lock_file, lambda: False)
        try:
            self._loop = asyncio.get_running_loop()
            self._front = Front(self._home, self._options, load(self._home.config_file, flags={}))
            await self._front.start()
            self._ready.set()
            try:
                await self._front.stopped.wait()
            finally:
                await self._front.close()
        finally:
            lock.release()


@dataclass
class _Thread:
    """A worker on a thread, which can be asked to leave and not be killed."""

    pid: int
    link: WorkerLink

    def kill(self) -> None:
        self.link.inbox.put(Shutdown())


class _Threads:
    """The executor: a worker is a thread of this process."""

    def __init__(self, arguments: Sequence[str], registry: Registry) -> None:
        self._arguments = tuple(arguments)
        self._registry = registry
        self._loop = asyncio.get_running_loop()

    def start(self, device: str, credentials: Credentials, exited: Exited) -> Handle:
        """Start it."""
        words = ("--link", credentials.endpoint, "--device", device, "--black-box", str(credentials.black_box))
        link = WorkerLink(credentials.endpoint, credentials.secret)

        def run() -> None:
            status = 0
            try:
                work(parsed((*self._arguments, *words)), link, self._registry)
            except BaseException:
                _log.exception("the worker of the test failed")
                status = 1
            self._loop.call_soon_threadsafe(exited, status)

        threading.Thread(target=run, name="gesso-worker", daemon=True).start()
        return _Thread(os.getpid(), link)
