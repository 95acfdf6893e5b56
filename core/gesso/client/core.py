"""What the blocking and the asyncio client share: connect, submit, fetch. Everything here blocks; nothing waits for a job's end."""

from __future__ import annotations

import json
import secrets
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..errors import BlobMissing, GessoError, InvalidRequest, ProtocolError, UnknownJob, Unreachable
from ..errors import Cancelled as CancelledError
from ..wire import discovery
from ..wire.message import LEVELS, LIMITS, PLANE_MEDIA_TYPE, PRIORITIES, TERMINAL, Message, check_choice
from . import transfer
from .events import Cancelled, Done, Event, Failed
from .link import Link, first_connection
from .opening import Opened, Place
from .results import Result, build_result
from .stream import Stream
from .transfer import Source

STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Options:
    """How a job is to run; see `docs/protocol.md`. ``key``: the same key with the same request is the same job."""

    key: Optional[str] = None
    level: str = "exact"
    priority: str = "batch"
    output: str = "png"
    watch: bool = True


@dataclass(frozen=True)
class Submitted:
    """A job that the daemon has accepted. ``params`` are complete: defaults and seed filled in; empty for one attached to."""

    id: str
    params: Mapping[str, Any]
    stream: Optional[Stream]


def silent(_sentence: str) -> None:
    """Nobody wants to know that a daemon is being started."""


class Core:
    """One client's connection and what can be asked through it; safe to use from several threads."""

    def __init__(self, place: Place, *, start: bool, on_start: Callable[[str], None] = silent, opened: Optional[Opened] = None) -> None:
        self.place = place
        start = start and place.remote is None  # one on another machine is for its owner to start
        opened = first_connection(place, start=start, on_start=on_start) if opened is None else opened
        self.link = Link(place, opened, restart=start, on_start=on_start)

    def close(self) -> None:
        """End the connection. Jobs go on."""
        self.link.close()

    def ask(self, kind: str, **fields: Any) -> "Future[Message]":
        """Send a request; the future gets its answer or error."""
        return self.link.request(kind, fields).answer

    def submit(self, operation: str, params: Mapping[str, Any], options: Options) -> Submitted:
        """Upload the images in ``params``, then submit. A lost answer leads to the same job, because the key stays the same."""
        header = {"level": options.level, "priority": options.priority, "output": options.output}
        for name, choices in (("level", LEVELS), ("priority", PRIORITIES)):
            check_choice(header, name, choices, "")
        sent, sources = transfer.replace_paths(params)
        _check_params(sent)
        for reference, source in sources:
            reference["sha256"] = transfer.upload(self.link, source)
        fields = {**header, "key": options.key or secrets.token_hex(16), "operation": operation, "params": sent, "watch": options.watch}
        try:
            return self._submitted(fields)
        except BlobMissing:
            if not sources:
                raise
            for _, source in sources:
                transfer.upload(self.link, source)
            return self._submitted(fields)

    def _submitted(self, fields: Mapping[str, Any]) -> Submitted:
        request = self.link.request("submit", fields)
        accepted = request.answer.result().header
        return Submitted(str(accepted["job"]), accepted["params"], request.stream)

    def attach(self, job: str, first: int) -> Submitted:
        """Follow a job from number ``first`` on; raises UnknownJob."""
        request = self.link.request("attach", {"job": job, "from": first})
        request.answer.result()
        return Submitted(job, {}, request.stream)

    def detach(self, job: str) -> None:
        """Follow it no longer; it goes on."""
        self.link.drop_stream(job)
        self.ask("detach", job=job).result()

    def job(self, job: str) -> Dict[str, Any]:
        """One job's summary with its parameters; raises UnknownJob."""
        found: List[Dict[str, Any]] = self.ask("list", job=job).result().header["jobs"]
        if len(found) != 1 or found[0].get("job") != job:
            raise UnknownJob(f"There is no job {job!r}.", field="job")
        return found[0]

    def history(self, after: str, ids: bool) -> Dict[str, Any]:
        """See `Client.history`."""
        answer = self.ask("history", after=after, ids=ids).result()
        return {"total": answer.header["total"], "more": answer.header["more"], "page": json.loads(answer.payload)}

    def retry(self, job: str, watch: bool = True) -> Submitted:
        """A new job from the request of one that has ended; raises UnknownJob, InvalidRequest, BlobMissing where its inputs are gone."""
        old = self.job(job)
        if old["state"] not in TERMINAL:
            raise InvalidRequest(f"Job {job} is {old['state']}; only one that has ended is tried again.", field="job")
        options = Options(None, str(old["level"]), str(old["priority"]), str(old["output"]), watch)
        return self.submit(str(old["operation"]), old["params"], options)

    def describe(self) -> Dict[str, Any]:
        """The compiled schema file: every operation, its parameters, and the catalogues."""
        found: Dict[str, Any] = json.loads(transfer.describe(self.link))
        return found

    def upload(self, source: Source) -> str:
        """See `transfer.upload`."""
        return transfer.upload(self.link, source)

    def download(self, sha256: str) -> bytes:
        """See `transfer.download`."""
        return transfer.download(self.link, sha256)

    def result(self, event: Event) -> Result:
        """Fetch what a terminal event speaks of; raises the job's own error."""
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Cancelled):
            raise CancelledError(f"Job {event.job} was cancelled.", details={"job": event.job})
        if not isinstance(event, Done):
            raise GessoError(f"Job {event.job} has not ended.")
        try:
            kinds = {str(image["sha256"]): image.get("media_type") for image in event.result.get("images") or ()}
            fetch = {sha256: transfer.view if kind == PLANE_MEDIA_TYPE else transfer.download for sha256, kind in kinds.items()}
            return build_result(event.job, event.result, {sha256: bring(self.link, sha256) for sha256, bring in fetch.items()})
        except (KeyError, TypeError, ValueError) as fault:
            raise ProtocolError(f"The result of job {event.job} cannot be read: {fault!r}.") from fault

    def stop(self, drain: bool = False) -> None:
        """Stop the daemon and wait until it has left; what it had accepted is kept. Raises Unreachable if it does not leave.

        With ``drain`` the jobs that run come to their end first, however long that takes.
        """
        info = self.link.opened.info
        try:
            self.ask("stop", drain=drain or None).result()
        except Unreachable:
            if self.link.connected:
                raise
        deadline = time.monotonic() + STOP_SECONDS
        while discovery.is_owned(self.place.home):
            newest = discovery.read(self.place.home)
            if newest is not None and newest.pid != info.pid:
                return
            if time.monotonic() >= deadline and not drain:
                raise Unreachable(
                    f"The daemon (process {info.pid}) was asked to stop, and still runs.", hint=f"End it with: kill {info.pid}"
                )
            time.sleep(0.02)


def _check_params(params: Mapping[str, Any]) -> None:
    """Name the parameter that JSON has no words for, or that is too long; raises InvalidRequest."""
    room = LIMITS["header_bytes"] - 1024
    for name, value in params.items():
        try:
            raw = json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
        except (TypeError, ValueError, RecursionError) as fault:
            raise InvalidRequest(f"`{name}` cannot be sent: {str(fault).rstrip('.')}.", field=name) from fault
        room -= len(raw) + len(name) + 8
        if room < 0:
            raise InvalidRequest(f"`{name}` is too long: all parameters together take at most {LIMITS['header_bytes']} bytes.", field=name)


def as_fields(answer: Message) -> Dict[str, Any]:
    """An answer without what belongs to the protocol."""
    return {name: value for name, value in answer.header.items() if name not in ("type", "re")}


def ended(stream: Stream) -> Tuple[bool, Optional[GessoError]]:
    """(whether no more events will come, the error if that is why)."""
    if not stream.ended.done():
        return False, None
    fault = stream.ended.exception()
    return True, fault if isinstance(fault, GessoError) else None
