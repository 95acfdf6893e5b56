"""The blocking client: `Client` and `Job`. Several threads and several jobs may share one client; iterate each job in one thread."""

from __future__ import annotations

import threading
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, Union

from ..errors import GessoError
from .core import Core, Options, Submitted, as_fields, ended, silent
from .events import Event
from .opening import HomeLike, Opened, Place
from .remote import Remote
from .results import Result
from .start import launch, refuse_if_running
from .stream import Reader, Stream
from .transfer import Source

_GLANCE_SECONDS = 0.5
"""How long a wait may sleep: on Windows, Ctrl-C is noticed only between waits."""


class Job:
    """A job that the daemon has accepted. Iterating gives its events up to the terminal one; `result` gives its images."""

    def __init__(self, core: Core, submitted: Submitted) -> None:
        self.id = submitted.id
        self.params = submitted.params
        self._core = core
        self._stream = submitted.stream
        self._changed = threading.Condition()
        self._reader = None if self._stream is None else self._stream.reader()
        if self._reader is not None:
            self._reader.listener = self._notify

    def __iter__(self) -> Iterator[Event]:
        """The events still to come, the terminal one last. Raises Unreachable if the daemon stays away; the job itself goes on."""
        stream, reader = self._watched()
        while True:
            with self._changed:
                over, fault = ended(stream)
                event = reader.take()
                if event is None and not over:
                    self._changed.wait(_GLANCE_SECONDS)
                    continue
            if event is not None:
                yield event
            elif fault is not None:
                raise fault
            else:
                return

    def result(self, timeout: Optional[float] = None) -> Result:
        """Wait for the end and fetch the images. Raises the job's own error, Cancelled, or TimeoutError after ``timeout`` seconds."""
        stream, _ = self._watched()
        waited = 0.0
        while True:
            step = _GLANCE_SECONDS if timeout is None else min(_GLANCE_SECONDS, timeout - waited)
            try:
                return self._core.result(stream.ended.result(max(0.0, step)))
            except FutureTimeout:
                waited += step
            if timeout is not None and waited >= timeout:
                raise TimeoutError(f"Job {self.id} has not ended within {timeout:g} s; it goes on.")

    @property
    def ended(self) -> bool:
        """Whether its terminal event is here."""
        return self._stream is not None and self._stream.ended.done()

    def cancel(self) -> None:
        """Ask for its end; the stream then ends with `Cancelled`, unless the job was faster. Harmless when repeated."""
        self._core.ask("cancel", job=self.id).result()

    def pause(self) -> None:
        """Let it stand from its next step on, until `resume`. Harmless when repeated."""
        self._core.ask("pause", job=self.id, paused=True).result()

    def resume(self) -> None:
        """Let it go on where it stands; its result is the same as without the pause."""
        self._core.ask("pause", job=self.id, paused=False).result()

    def detach(self) -> None:
        """Follow it no longer; it goes on, and `Client.attach` finds it again."""
        self._core.detach(self.id)

    def _watched(self) -> Tuple[Stream, Reader]:
        if self._stream is None or self._reader is None:
            raise GessoError(f"Job {self.id} is not watched.", hint="Use Client.attach(job.id), or submit with watch=True.")
        return self._stream, self._reader

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Client:
    """A connection to the daemon, which is started where none runs (unless ``start=False``).

    home: the state directory, None for the user's own. transport: ``ipc``, ``tcp``, or None for the better one (``GESSO_TRANSPORT``
    sets it too). name: how the daemon's lists call this client. on_start: told why in a sentence
    before a daemon is started or, after an upgrade, restarted; from any thread.
    address: a daemon on another machine (``GESSO_ADDRESS`` where neither home nor transport is given); it is never started from here.
    Raises Unreachable, StartFailed, VersionMismatch, Unauthorised or UnsafeState.
    """

    def __init__(
        self,
        start: bool = True,
        home: Optional[HomeLike] = None,
        transport: Optional[str] = None,
        name: str = "python",
        on_start: Callable[[str], None] = silent,
        address: Union[str, Remote, None] = None,
    ) -> None:
        self._core = Core(Place.anywhere(home, transport, name, address), start=start, on_start=on_start)

    @classmethod
    def _of(cls, core: Core) -> "Client":
        client = cls.__new__(cls)
        client._core = core
        return client

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], fault: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Jobs go on."""
        self._core.close()

    @property
    def welcome(self) -> Mapping[str, Any]:
        """What the daemon said about itself: ``version``, ``pid``, ``limits``, ``principal``, ..."""
        return self._core.link.opened.welcome

    def submit(  # noqa: PLR0913 - the one verb everybody uses; all but the first two are keywords
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
    ) -> Job:
        """Give the daemon a job. Returns once it is on the daemon's disk.

        Parameters are given by name, or as a mapping before them; a `pathlib.Path` or bytes among them is an image, and is uploaded.
        The other options are those of `docs/protocol.md`. Raises InvalidRequest (with ``field``), Conflict, Busy, StorageFull, Unreachable.
        """
        options = Options(key, level, priority, output, watch)
        return Job(self._core, self._core.submit(operation, {**(params or {}), **more}, options))

    def attach(self, job: str, from_: int = 0) -> Job:
        """Follow a job again, from event number ``from_`` on; raises UnknownJob."""
        return Job(self._core, self._core.attach(job, from_))

    def cancel(self, job: str) -> None:
        """Ask for a job's end; raises UnknownJob."""
        self._core.ask("cancel", job=job).result()

    def pause(self, job: str, paused: bool = True) -> None:
        """Let a job stand from its next step on, or go on; raises UnknownJob, InvalidRequest."""
        self._core.ask("pause", job=job, paused=paused).result()

    def prioritise(self, job: str, priority: str) -> None:
        """Make a job ``interactive`` or ``batch`` from its next step on; raises UnknownJob, InvalidRequest."""
        self._core.ask("prioritise", job=job, priority=priority).result()

    def retry(self, job: str) -> Job:
        """Make a new job from the request of one that has ended, the seed included; raises UnknownJob, BlobMissing."""
        return Job(self._core, self._core.retry(job))

    def forget(self, job: str) -> None:
        """Remove a job that has ended, with the pictures that no other job names; raises UnknownJob, InvalidRequest."""
        self._core.ask("forget", job=job).result()

    def pin(self, job: str, pinned: bool = True) -> None:
        """Keep a job and its pictures whatever their age and the room they take, or no longer; raises UnknownJob."""
        self._core.ask("pin", job=job, pinned=pinned).result()

    def job(self, job: str) -> Dict[str, Any]:
        """One job's summary: job, operation, state, params, ...; raises UnknownJob."""
        return self._core.job(job)

    def jobs(self, limit: int = 50, states: Sequence[str] = ()) -> List[Dict[str, Any]]:
        """Summaries of the newest jobs, newest first; ``states`` narrows them down."""
        found: List[Dict[str, Any]] = self._core.ask("list", limit=limit, states=list(states) or None).result().header["jobs"]
        return found

    def history(self, after: str = "", ids: bool = False) -> Dict[str, Any]:
        """A page of what was made, behind the mark ``after``: ``page``, ``more``, ``total``; see `history` in docs/protocol.md."""
        return self._core.history(after, ids)

    def status(self) -> Dict[str, Any]:
        """What the daemon is doing: pid, version, uptime, device, queue, workers, models, storage, metrics."""
        return as_fields(self._core.ask("status").result())

    def describe(self) -> Dict[str, Any]:
        """The compiled schema file: every operation with its parameters, as JSON Schema."""
        return self._core.describe()

    def upload(self, source: Source) -> str:
        """Bring an image (path or bytes) to the daemon; gives its SHA-256, to be used as ``{"sha256": ...}`` in parameters."""
        return self._core.upload(source)

    def download(self, sha256: str) -> bytes:
        """A blob's bytes; raises BlobMissing."""
        return self._core.download(sha256)

    def ping(self) -> None:
        """Ask the daemon for a sign of life; raises Unreachable."""
        self._core.ask("ping").result()

    def suspend(self) -> None:
        """Give the device to another program: jobs stand, weights leave. Returns when it is free; raises Busy where a step takes long."""
        self._core.ask("suspend").result()

    def resume(self) -> None:
        """Take the device back; jobs go on."""
        self._core.ask("resume").result()

    def unload(self, model: Optional[str] = None) -> None:
        """Let the weights of one model leave the device, or of all; raises InvalidRequest, Busy."""
        self._core.ask("unload", model=model).result()

    def stop(self, drain: bool = False) -> None:
        """Stop the daemon and wait until it has left; what has not ended goes on at its next start. ``drain``: what runs ends first."""
        self._core.stop(drain)


def start_daemon(home: Optional[HomeLike] = None, *, tcp: bool = False, name: str = "python") -> Client:
    """Start a daemon in the background, which stays until it is stopped; gives a client of it. Raises AlreadyRunning or StartFailed."""
    place = Place.find(home, "tcp" if tcp else None, name)
    refuse_if_running(place)
    opened: Opened = launch(place, on_demand=False)
    return Client._of(Core(place, start=True, opened=opened))
