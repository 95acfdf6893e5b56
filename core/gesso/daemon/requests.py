"""Answers the requests of `docs/protocol.md`, one coroutine a type. It keeps no socket and no thread; whatever is durable
it leaves to the journal and the store.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesso.config import Settings
from gesso.daemon import files, history, jobs, rows, steps
from gesso.daemon.blobs import BlobStore
from gesso.daemon.dispatcher import Dispatcher
from gesso.daemon.journal import Journal
from gesso.daemon.lending import Lending
from gesso.daemon.metrics import Metrics
from gesso.daemon.peers import Peer
from gesso.daemon.retention import Retention
from gesso.daemon.rows import JobRow, NewJob
from gesso.daemon.schemas import Schemas
from gesso.daemon.stream import Stream
from gesso.daemon.uploads import Uploads
from gesso.errors import (
    BlobMissing,
    GessoError,
    InvalidRequest,
    ProtocolError,
    StorageFull,
    Unauthorised,
    UnknownJob,
    VersionMismatch,
)
from gesso.link.loop import PeerGone
from gesso.wire import auth
from gesso.wire import message as wire

_log = logging.getLogger(__name__)
_LIST_MOST = 1000
_LIST_BYTES = 192 << 10
_HEADER_ROOM = 1024


@dataclass(frozen=True)
class Identity:
    """What the front says about itself. ``token`` and ``tcp`` are None where it does not listen on tcp."""

    pid: int
    version: str
    token: str | None
    tcp: str | None
    nonce_file: Path
    nonce: str


@dataclass(frozen=True)
class Parts:
    """What requests work on."""

    identity: Identity
    journal: Journal
    store: BlobStore
    uploads: Uploads
    schemas: Schemas
    dispatcher: Dispatcher
    metrics: Metrics
    retention: Retention
    settings: Callable[[], Settings]
    lending: Lending
    state: Callable[[], Awaitable[dict[str, Any]]]
    stop: Callable[[bool], None]


Answer = tuple[dict[str, Any], bytes]


class Requests:
    """`serve` answers one request of one peer: with its answer or with an error, always exactly once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: Mapping[str, Callable[[Peer, wire.Message], Awaitable[Answer]]] = {
            "hello": self._hello,
            "ping": self._ping,
            "describe": self._describe,
            "cancel": self._cancel,
            "detach": self._detach,
            "status": self._status,
            "list": self._list,
            "history": self._history,
            "forget": self._forget,
            "pause": self._pause,
            "prioritise": self._prioritise,
            "pin": self._pin,
            "blob.have": self._have,
            "blob.begin": self._begin,
            "blob.part": self._part,
            "blob.get": self._get,
            "suspend": self._suspend,
            "resume": self._resume,
            "unload": self._unload,
            "stop": self._stop,
        }

    async def serve(self, peer: Peer, message: wire.Message) -> None:
        """Check, do, answer. Raises PeerGone."""
        began = time.monotonic()
        try:
            await self._answered(peer, message)
        finally:
            metrics = self._parts.metrics
            metrics.requests += 1
            (metrics.accept_seconds if message.type == "submit" else metrics.answer_seconds).observe(time.monotonic() - began)

    async def _answered(self, peer: Peer, message: wire.Message) -> None:
        ident = message.header.get("id")
        re = {"re": ident} if isinstance(ident, str) and len(ident) <= wire.ID_LENGTH else {}
        try:
            await self._respond(peer, message, re)
        except PeerGone:
            raise
        except GessoError as fault:
            self._parts.metrics.refused += 1
            await peer.answer({"type": "error", **re, "error": fault.to_wire()})
        except Exception as fault:
            _log.exception("a request met a fault of the front", extra={"request": message.type})
            error = GessoError(f"The daemon met a fault of its own ({type(fault).__name__}); its log has more.")
            await peer.answer({"type": "error", **re, "error": error.to_wire()})

    async def _respond(self, peer: Peer, message: wire.Message, re: Mapping[str, str]) -> None:
        """Raises what is to be told to the client; nothing is raised once the answer is sent."""
        wire.check_request(message.header, message.payload)
        if message.type != "hello" and not peer.client:
            raise ProtocolError("Say `hello` first.", field="type")
        if message.type == "submit":
            await self._submit(peer, message, re)
        elif message.type == "attach":
            await self._attach(peer, message, re)
        else:
            body, payload = await self._known[message.type](peer, message)
            await peer.answer({"type": wire.REQUESTS[message.type].answer, **re, **body}, payload)
            if message.type == "stop":
                self._parts.stop(bool(message.header.get("drain")))

    async def _hello(self, peer: Peer, message: wire.Message) -> Answer:
        header, identity = message.header, self._parts.identity
        if wire.PROTOCOL_VERSION not in header["protocol"]:
            raise VersionMismatch(
                f"This daemon speaks version {wire.PROTOCOL_VERSION} of the protocol.",
                field="protocol",
                hint="Bring client and daemon to the same version of Gesso, then restart the daemon with `gesso stop`.",
                details={"protocol": [wire.PROTOCOL_VERSION]},
            )
        body: dict[str, Any] = {}
        if peer.nonce:
            if header.get("nonce") != peer.nonce or identity.token is None or identity.tcp is None:
                raise Unauthorised("`nonce` is not the one of this connection.", field="nonce")
            body["proof"] = auth.daemon_proof(identity.token, peer.nonce, identity.tcp)
        self._parts.uploads.close_owner(peer.key)
        peer.greet(str(header["client"])[: wire.ID_LENGTH] or "unnamed")
        if peer.sees_all:  # others are on another machine, or at least no business of theirs is where our files lie
            body["nonce_file"] = str(identity.nonce_file)
            body["nonce_sha256"] = hashlib.sha256(identity.nonce.encode()).hexdigest()
            body["blobs"] = str(self._parts.store.root)
        return {
            **body,
            "protocol": wire.PROTOCOL_VERSION,
            "version": identity.version,
            "pid": identity.pid,
            "limits": dict(wire.LIMITS),
            "principal": peer.principal,
        }, b""

    async def _ping(self, _peer: Peer, _message: wire.Message) -> Answer:
        return {}, b""

    async def _describe(self, _peer: Peer, message: wire.Message) -> Answer:
        digest, raw = self._parts.schemas.describe()
        offset = _whole(message.header, "offset", 0, len(raw))
        return {"digest": digest, "offset": offset, "size": len(raw)}, raw[offset : offset + wire.LIMITS["payload_bytes"]]

    async def _submit(self, peer: Peer, message: wire.Message, re: Mapping[str, str]) -> None:
        header = message.header
        row, duplicate = await self._accept(peer, header)
        live = self._parts.dispatcher.live.get(row.id)
        stream = live.stream if live else Stream.of_row(row)
        state = live.state if live else row.state
        answer = {"type": "accepted", **re, "job": row.id, "state": state, "seq": stream.seq if duplicate else 0}
        steps.reached("accepted.send")
        await peer.answer({**answer, "params": row.request["params"], "duplicate": duplicate})
        steps.reached("accepted.sent")
        if header.get("watch") is not False:
            _watch(peer, stream, 0)

    async def _accept(self, peer: Peer, header: Mapping[str, Any]) -> tuple[JobRow, bool]:
        """(the journaled job, whether it was there before)."""
        parts = self._parts
        level, output = wire.check_choice(header, "level", wire.LEVELS, "exact"), parts.schemas.output(header.get("output"))
        request = {"operation": header["operation"], "params": header["params"], "level": level, "output": output}
        request |= parts.schemas.patience(header["operation"])
        asked = wire.check_choice(header, "priority", wire.PRIORITIES, "batch")
        priority = "batch" if "patient" in request else asked
        key = header["key"]
        if not 1 <= len(key) <= wire.ID_LENGTH:
            raise InvalidRequest(f"`key` has 1 to {wire.ID_LENGTH} characters.", field="key")
        digest = hashlib.sha256(json.dumps([request, priority], sort_keys=True).encode()).hexdigest()
        known = await parts.journal.submit(rows.find_key, peer.principal, key, digest)
        if known is not None:
            parts.metrics.duplicates += 1
            return known, True
        try:
            await parts.store.make_room(0)
        except StorageFull as fault:
            raise StorageFull("The disk is full: no new jobs are accepted.", hint="Free some disk space; it heals by itself.") from fault
        parts.dispatcher.admit((peer.principal, peer.client))
        checked = parts.schemas.check(str(request["operation"]), header["params"])
        parts.store.require(checked.blobs)
        wire.encode({"params": checked.params, "room": "." * _HEADER_ROOM})  # an answer that cannot be sent must not be promised
        complete = {**request, "params": checked.params}
        new = NewJob(uuid.uuid4().hex, peer.principal, peer.client, key, complete, digest, priority, tuple(checked.blobs))
        parts.store.pin(new.id, checked.blobs)
        try:
            row, duplicate = await parts.journal.submit(rows.insert_job, new)
            if row.id not in parts.dispatcher.live and row.state == "accepted":
                parts.dispatcher.adopt(row, checked.blobs, parts.schemas.model_of(checked.params))
        finally:
            if new.id not in parts.dispatcher.live:
                parts.store.unpin(new.id, checked.blobs)
        parts.metrics.duplicates += duplicate
        parts.metrics.accepted += not duplicate
        if not duplicate:
            shown = {"params": checked.params} if parts.settings().flag("logs.prompts") else {}
            told = {"job": row.id, "operation": request["operation"], "client": peer.client, **shown}
            _log.info("a job was accepted", extra=told)
        return row, duplicate

    async def _attach(self, peer: Peer, message: wire.Message, re: Mapping[str, str]) -> None:
        first = _whole(message.header, "from", 0, 1 << 62)
        row = await self._visible(peer, message.header["job"])
        live = self._parts.dispatcher.live.get(row.id)
        if live is None:
            row = await self._visible(peer, row.id)
        stream = live.stream if live else Stream.of_row(row)
        state = live.state if live else row.state
        await peer.answer({"type": "attached", **re, "job": row.id, "state": state, "seq": stream.seq, "snapshot": stream.snapshot()})
        _watch(peer, stream, first)

    async def _detach(self, peer: Peer, message: wire.Message) -> Answer:
        await self._visible(peer, message.header["job"])
        peer.unwatch(message.header["job"])
        return {}, b""

    async def _cancel(self, peer: Peer, message: wire.Message) -> Answer:
        row = await self._visible(peer, message.header["job"])
        live = self._parts.dispatcher.live.get(row.id)
        if live is not None:
            await self._parts.dispatcher.cancel(live)
        return {}, b""

    async def _forget(self, peer: Peer, message: wire.Message) -> Answer:
        row = await self._visible(peer, message.header["job"])
        if row.id in self._parts.dispatcher.live or row.state not in wire.TERMINAL:
            raise InvalidRequest(f"Job {row.id} has not ended, so it is not forgotten.", field="job", hint="Cancel it, then forget it.")
        await self._parts.retention.forget(row.id)
        return {}, b""

    async def _pin(self, peer: Peer, message: wire.Message) -> Answer:
        row = await self._visible(peer, message.header["job"])
        await self._parts.retention.pin(row.id, message.header["pinned"])
        return {}, b""

    async def _pause(self, peer: Peer, message: wire.Message) -> Answer:
        row = await self._visible(peer, message.header["job"])
        live = self._parts.dispatcher.live.get(row.id)
        if live is not None:
            await self._parts.dispatcher.pause(live, message.header["paused"])
        return {}, b""

    async def _prioritise(self, peer: Peer, message: wire.Message) -> Answer:
        priority = wire.check_choice(message.header, "priority", wire.PRIORITIES, "batch")
        row = await self._visible(peer, message.header["job"])
        live = self._parts.dispatcher.live.get(row.id)
        if live is not None:
            await self._parts.dispatcher.prioritise(live, priority)
        return {}, b""

    async def _visible(self, peer: Peer, job: str) -> JobRow:
        row = await self._parts.journal.submit(rows.get_job, job[: wire.ID_LENGTH])
        if not peer.sees_all and row.principal != peer.principal:
            raise UnknownJob(f"There is no job {job!r}.", field="job")
        return row

    async def _status(self, peer: Peer, _message: wire.Message) -> Answer:
        state = await self._parts.state()
        if not peer.sees_all:
            live = self._parts.dispatcher.live
            for worker in state["workers"]:
                worker["jobs"] = [job for job in worker["jobs"] if job in live and live[job].principal == peer.principal]
        return state, b""

    async def _list(self, peer: Peer, message: wire.Message) -> Answer:
        if message.header.get("job") is not None:
            row = await self._visible(peer, message.header["job"])
            return {"jobs": [jobs.detail(row, self._parts.store.has)], "total": 1}, b""
        limit = _whole(message.header, "limit", 50, _LIST_MOST)
        states = message.header.get("states") or list(wire.STATES)
        if not all(state in wire.STATES for state in states):
            raise InvalidRequest(f"`states` are some of {', '.join(wire.STATES)}.", field="states")
        principal = None if peer.sees_all else peer.principal
        found, total = await self._parts.journal.submit(rows.list_jobs, principal, states, limit)
        lines: list[dict[str, Any]] = []
        room = _LIST_BYTES  # a header is bounded: a list that does not fit is cut short, and `total` says so
        for line in map(jobs.summary, found):
            room -= len(json.dumps(line))
            if room < 0:
                break
            lines.append(line)
        return {"jobs": lines, "total": total}, b""

    async def _history(self, peer: Peer, message: wire.Message) -> Answer:
        after, ids = message.header.get("after") or "", bool(message.header.get("ids"))
        return await self._parts.journal.submit(history.page, None if peer.sees_all else peer.principal, after, ids)

    async def _have(self, _peer: Peer, message: wire.Message) -> Answer:
        hashes = message.header["sha256"]
        if not all(files.is_hash(sha256) for sha256 in hashes):
            raise InvalidRequest("`sha256` lists hashes of 64 lower-case hexadecimal digits.", field="sha256")
        return {"sha256": [sha256 for sha256 in hashes if not self._parts.store.has(sha256)]}, b""

    async def _begin(self, peer: Peer, message: wire.Message) -> Answer:
        header = message.header
        same_files = peer.sees_all and auth.matches(str(header.get("nonce") or ""), self._parts.identity.nonce)
        return await self._parts.uploads.begin(peer.key, header.get("sha256"), header["size"], same_files), b""

    async def _part(self, peer: Peer, message: wire.Message) -> Answer:
        self._parts.metrics.bytes_in += len(message.payload)
        return await self._parts.uploads.part(peer.key, message.header["upload"], message.header["offset"], message.payload), b""

    async def _get(self, _peer: Peer, message: wire.Message) -> Answer:
        header, store = message.header, self._parts.store
        sha256 = header["sha256"]
        if not files.is_hash(sha256):
            raise InvalidRequest("`sha256` is 64 lower-case hexadecimal digits.", field="sha256")
        if not store.has(sha256):
            raise BlobMissing("The daemon does not hold this image any more.", field="sha256", details={"missing": [sha256]})
        size = store.size(sha256)
        offset = _whole(header, "offset", 0, size)
        length = min(_whole(header, "length", wire.LIMITS["payload_bytes"], 1 << 62), wire.LIMITS["payload_bytes"])
        payload = await store.read(sha256, offset, length)
        self._parts.metrics.bytes_out += len(payload)
        return {"sha256": sha256, "offset": offset, "size": size}, payload

    async def _suspend(self, peer: Peer, _message: wire.Message) -> Answer:
        await self._lending_of(peer).suspend()
        return {}, b""

    async def _resume(self, peer: Peer, _message: wire.Message) -> Answer:
        self._lending_of(peer).resume()
        return {}, b""

    async def _unload(self, peer: Peer, message: wire.Message) -> Answer:
        lending, name = self._lending_of(peer), message.header.get("model")
        await lending.unload(None if name is None else self._parts.schemas.known_model(name))
        return {}, b""

    def _lending_of(self, peer: Peer) -> Lending:
        if not peer.sees_all:
            raise Unauthorised("Only the daemon's own user may give the device away.")
        return self._parts.lending

    async def _stop(self, peer: Peer, _message: wire.Message) -> Answer:
        if not peer.sees_all:
            raise Unauthorised("Only the daemon's own user may stop it.")
        return {}, b""


def _watch(peer: Peer, stream: Stream, first: int) -> None:
    """Send what is held from number ``first`` on; what comes later follows. Nothing is awaited, so nothing is missed or out of order."""
    peer.watches.setdefault(stream.job, first - 1)
    for event in stream.since(first):
        peer.offer(event)
    if stream.terminal is not None:
        peer.watches.pop(stream.job, None)


def _whole(header: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = header.get(name)
    if value is None:
        return default
    if not 0 <= value <= most:
        raise InvalidRequest(f"`{name}` is between 0 and {most}, not {value}.", field=name)
    return int(value)
