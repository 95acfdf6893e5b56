"""The asyncio client: `AsyncClient` and `AsyncJob`. The same core, the same values; only the waiting differs."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, AsyncIterator, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

from ..errors import GessoError
from .core import Core, Options, Submitted, as_fields, ended, silent
from .events import Event
from .opening import HomeLike, Place
from .remote import Remote
from .results import Result
from .stream import Reader, Stream
from .transfer import Source

T = TypeVar("T")


async def _aside(function: Callable[[], T]) -> T:
    """Run what blocks (files, hashes, several answers) on a thread of the loop's pool."""
    return await asyncio.get_running_loop().run_in_executor(None, function)


class AsyncJob:
    """A job that the daemon has accepted. ``async for`` gives its events up to the terminal one; `result` gives its images."""

    def __init__(self, core: Core, submitted: Submitted) -> None:
        self.id = submitted.id
        self.params = submitted.params
        self._core = core
        self._stream = submitted.stream
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._reader = None if self._stream is None else self._stream.reader()
        if self._reader is not None:
            self._reader.listener = self._notify

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events still to come, the terminal one last. Raises Unreachable if the daemon stays away; the job itself goes on."""
        stream, reader = self._watched()
        while True:
            self._changed.clear()
            over, fault = ended(stream)
            event = reader.take()
            if event is not None:
                yield event
            elif not over:
                await self._changed.wait()
            elif fault is not None:
                raise fault
            else:
                return

    async def result(self) -> Result:
        """Wait for the end and fetch the images. Raises the job's own error, or Cancelled; `asyncio.wait_for` sets a limit."""
        stream, _ = self._watched()
        event = await asyncio.wrap_future(stream.ended)
        return await _aside(lambda: self._core.result(event))

    @property
    def ended(self) -> bool:
        """Whether its terminal event is here."""
        return self._stream is not None and self._stream.ended.done()

    async def cancel(self) -> None:
        """Ask for its end; the stream then ends with `Cancelled`, unless the job was faster. Harmless when repeated."""
        await asyncio.wrap_future(self._core.ask("cancel", job=self.id))

    async def pause(self) -> None:
        """Let it stand from its next step on, until `resume`. Harmless when repeated."""
        await asyncio.wrap_future(self._core.ask("pause", job=self.id, paused=True))

    async def resume(self) -> None:
        """Let it go on where it stands; its result is the same as without the pause."""
        await asyncio.wrap_future(self._core.ask("pause", job=self.id, paused=False))

    async def detach(self) -> None:
        """Follow it no longer; it goes on, and `AsyncClient.attach` finds it again."""
        await _aside(lambda: self._core.detach(self.id))

    def _watched(self) -> Tuple[Stream, Reader]:
        if self._stream is None or self._reader is None:
            raise GessoError(f"Job {self.id} is not watched.", hint="Use AsyncClient.attach(job.id), or submit with watch=True.")
        return self._stream, self._reader

    def _notify(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._changed.set)


class AsyncClient:
    """A connection to the daemon, made by ``async with``; see `Client` for the arguments and errors."""

    def __init__(
        self,
        start: bool = True,
        home: Optional[HomeLike] = None,
        transport: Optional[str] = None,
        name: str = "python",
        on_start: Callable[[str], None] = silent,
        address: Union[str, Remote, None] = None,
    ) -> None:
        self._place = Place.anywhere(home, transport, name, address)
        self._start = start
        self._on_start = on_start
        self._opened: Optional[Core] = None

    async def __aenter__(self) -> "AsyncClient":
        self._opened = await _aside(lambda: Core(self._place, start=self._start, on_start=self._on_start))
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], fault: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Jobs go on."""
        if self._opened is not None:
            await _aside(self._opened.close)

    @property
    def _core(self) -> Core:
        if self._opened is None:
            raise GessoError("This client is not connected.", hint="Use it in `async with AsyncClient() as client:`.")
        return self._opened

    @property
    def welcome(self) -> Mapping[str, Any]:
        """What the daemon said about itself: ``version``, ``pid``, ``limits``, ``principal``, ..."""
        return self._core.link.opened.welcome

    async def submit(  # noqa: PLR0913 - the one verb everybody uses; all but the first two are keywords
        self,
        operation: str,
        params: Optional[Mapping[str, Any]] = None,
        /,
        *,
        key: Optional[str] = None,
        level: str = "exact",
        priority: str = "batch",
        output: str = "png",
        watch: bool = True,
        **more: Any,
    ) -> AsyncJob:
        """Give the daemon a job; see `Client.submit`."""
        core, options = self._core, Options(key, level, priority, output, watch)
        return AsyncJob(core, await _aside(lambda: core.submit(operation, {**(params or {}), **more}, options)))

    async def attach(self, job: str, from_: int = 0) -> AsyncJob:
        """Follow a job again, from event number ``from_`` on; raises UnknownJob."""
        core = self._core
        return AsyncJob(core, await _aside(lambda: core.attach(job, from_)))

    async def cancel(self, job: str) -> None:
        """Ask for a job's end; raises UnknownJob."""
        await asyncio.wrap_future(self._core.ask("cancel", job=job))

    async def pause(self, job: str, paused: bool = True) -> None:
        """Let a job stand from its next step on, or go on; raises UnknownJob, InvalidRequest."""
        await asyncio.wrap_future(self._core.ask("pause", job=job, paused=paused))

    async def prioritise(self, job: str, priority: str) -> None:
        """Make a job ``interactive`` or ``batch`` from its next step on; raises UnknownJob, InvalidRequest."""
        await asyncio.wrap_future(self._core.ask("prioritise", job=job, priority=priority))

    async def retry(self, job: str) -> AsyncJob:
        """Make a new job from the request of one that has ended; see `Client.retry`."""
        core = self._core
        return AsyncJob(core, await _aside(lambda: core.retry(job)))

    async def forget(self, job: str) -> None:
        """Remove a job that has ended, with the pictures that no other job names; raises UnknownJob, InvalidRequest."""
        await asyncio.wrap_future(self._core.ask("forget", job=job))

    async def pin(self, job: str, pinned: bool = True) -> None:
        """Keep a job and its pictures whatever their age and the room they take, or no longer; raises UnknownJob."""
        await asyncio.wrap_future(self._core.ask("pin", job=job, pinned=pinned))

    async def job(self, job: str) -> Dict[str, Any]:
        """One job's summary: job, operation, state, params, ...; raises UnknownJob."""
        core = self._core
        return await _aside(lambda: core.job(job))

    async def jobs(self, limit: int = 50, states: Sequence[str] = ()) -> List[Dict[str, Any]]:
        """Summaries of the newest jobs, newest first; ``states`` narrows them down."""
        answer = await asyncio.wrap_future(self._core.ask("list", limit=limit, states=list(states) or None))
        found: List[Dict[str, Any]] = answer.header["jobs"]
        return found

    async def history(self, after: str = "", ids: bool = False) -> Dict[str, Any]:
        """A page of what was made; see `Client.history`."""
        core = self._core
        return await _aside(lambda: core.history(after, ids))

    async def status(self) -> Dict[str, Any]:
        """What the daemon is doing: pid, version, uptime, device, queue, workers, models, storage, metrics."""
        return as_fields(await asyncio.wrap_future(self._core.ask("status")))

    async def describe(self) -> Dict[str, Any]:
        """The compiled schema file: every operation with its parameters, as JSON Schema."""
        return await _aside(self._core.describe)

    async def upload(self, source: Source) -> str:
        """Bring an image (path or bytes) to the daemon; gives its SHA-256."""
        core = self._core
        return await _aside(lambda: core.upload(source))

    async def download(self, sha256: str) -> bytes:
        """A blob's bytes; raises BlobMissing."""
        core = self._core
        return await _aside(lambda: core.download(sha256))

    async def ping(self) -> None:
        """Ask the daemon for a sign of life; raises Unreachable."""
        await asyncio.wrap_future(self._core.ask("ping"))

    async def suspend(self) -> None:
        """Give the device to another program; see `Client.suspend`."""
        await asyncio.wrap_future(self._core.ask("suspend"))

    async def resume(self) -> None:
        """Take the device back; jobs go on."""
        await asyncio.wrap_future(self._core.ask("resume"))

    async def unload(self, model: Optional[str] = None) -> None:
        """Let the weights of one model leave the device, or of all; raises InvalidRequest, Busy."""
        await asyncio.wrap_future(self._core.ask("unload", model=model))

    async def stop(self, drain: bool = False) -> None:
        """Stop the daemon and wait until it has left; see `Client.stop`."""
        core = self._core
        await _aside(lambda: core.stop(drain))
