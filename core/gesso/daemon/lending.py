"""Gives the device to another program for a while and takes it back. It pauses and drops; it ends no job and loses none.

in use --suspend--> suspended: nothing is leased, jobs that run stand at their next border, weights are dropped --resume--> in use

A worker that holds no job is ended, so that nothing of it stays on the device; the next job after `resume` starts another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gesso.daemon.dispatcher import Dispatcher
from gesso.daemon.workers import Supervisor
from gesso.errors import Busy
from gesso.link import messages as link
from gesso.link.front_link import FrontLink

PATIENCE = 60.0
"""Seconds that a running forward, or work on the thread pool, may take to come to its border."""
_LOOK = 0.02


class Lending:
    """The device's state as clients ask for it."""

    def __init__(self, dispatcher: Dispatcher, supervisor: Supervisor, link_: FrontLink) -> None:
        self._dispatcher = dispatcher
        self._supervisor = supervisor
        self._link = link_

    @property
    def suspended(self) -> bool:
        """Whether the device was given away."""
        return self._dispatcher.suspended

    async def suspend(self) -> None:
        """Done when the device is free; Busy where something does not come to its border. Again is as once."""
        self._dispatcher.suspended = self._supervisor.barred = True
        worker = self._supervisor.worker
        if worker is None:
            return
        if not worker.leases:
            await self._supervisor.dismiss(PATIENCE)
            return
        worker.info = {**worker.info, "suspended": False}
        self._link.send(worker.name, link.Suspend(True))
        await self._until(lambda: self._supervisor.worker is not worker or worker.info.get("suspended") is True)

    def resume(self) -> None:
        """Take the device back; what stands goes on."""
        self._dispatcher.suspended = self._supervisor.barred = False
        worker = self._supervisor.worker
        if worker is not None:
            self._link.send(worker.name, link.Suspend(False))
        self._dispatcher.resume()

    async def unload(self, model: str | None) -> None:
        """Let weights leave the device, of one model or of all; Busy while a call uses them. A job that needs them loads them again."""
        worker = self._supervisor.worker
        if worker is None:
            return
        self._link.send(worker.name, link.Unload(model or ""))
        await self._until(lambda: self._supervisor.worker is not worker or not [name for name in worker.resident if model in (None, name)])

    async def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline:
                raise Busy(
                    f"A step that runs did not end within {PATIENCE:g} seconds; the device is freed when it does.",
                    details={"retry_after": PATIENCE},
                )
            await asyncio.sleep(_LOOK)
