"""A small front on a libzmq ROUTER, on a thread: says what a test tells it to, and misbehaves on demand. It runs no jobs of its own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from gesso.wire import auth, discovery
from gesso.wire.discovery import DaemonInfo
from gesso.wire.home import Home, make_private
from gesso.wire.message import LIMITS, TERMINAL, Message, decode, encode

Answer = tuple[dict[str, Any], bytes]
SCHEMA = b'{"operations": {"generate": {"title": "Generate"}}}' + b" " * (LIMITS["payload_bytes"] + 10)


@dataclass
class FakeJob:
    """A job's events so far, and who watches."""

    id: str
    header: Mapping[str, Any]
    events: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)
    watchers: set[bytes] = field(default_factory=set)

    @property
    def terminal(self) -> dict[str, Any] | None:
        return next((header for header, _ in self.events if header["type"] in TERMINAL), None)


class FakeFront:
    """``swallow[type]`` answers are lost; ``refuse[type]`` is the error to answer with; ``same_files`` offers paths; ``honest`` proofs."""

    def __init__(self, home: Home, *, transport: str = os.environ.get("GESSO_TRANSPORT") or "ipc", version: int = 1) -> None:
        self.home = home
        self.transport = transport
        self.version = version
        self.swallow: Counter[str] = Counter()
        self.refuse: dict[str, dict[str, Any]] = {}
        self.on_request: Callable[[Message], None] = lambda message: None
        self.same_files = False
        self.honest = True
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, bytearray]] = {}
        self.jobs: dict[str, FakeJob] = {}
        self.requests: list[Message] = []
        self.token = auth.new_token()
        self.nonce = "nonce-of-the-fake-front"
        self._lock = threading.RLock()
        self._outbox: list[tuple[bytes, list[bytes]]] = []
        for path in (home.runtime, home.state, home.blobs, home.incoming):
            make_private(path)
        (home.runtime / "nonce").write_text(self.nonce)
        self._owner = os.open(home.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        self.start()

    def start(self) -> None:
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self._context: zmq.Context[Any] = zmq.Context()
        self._zap = self._context.socket(zmq.REP)
        self._zap.bind("inproc://zeromq.zap.01")
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 200)
        self._router.setsockopt(zmq.SNDHWM, 0)  # a fake drops nothing but what a test tells it to
        self._router.setsockopt(zmq.MAXMSGSIZE, LIMITS["frame_bytes"])
        self._router.zap_domain = self.transport.encode()
        self._wake_in = self._context.socket(zmq.PULL)
        self._wake_in.bind("inproc://wake")
        self._wake_out = self._context.socket(zmq.PUSH)
        self._wake_out.connect("inproc://wake")
        self._closing = False
        ipc = tcp = None
        if self.transport == "tcp":
            self._router.plain_server = True
            tcp = f"tcp://127.0.0.1:{self._router.bind_to_random_port('tcp://127.0.0.1')}"
        else:
            ipc = f"ipc://{self.home.socket_path()}"
            self._router.bind(ipc)
        self.tcp = tcp
        self._thread = threading.Thread(target=self._run, name="fake-front")
        self._thread.start()
        discovery.write(self.home, DaemonInfo(self.version, "0.1.0", os.getpid(), ipc, tcp, self.token if tcp else None))

    def stop(self, *, clean: bool = True) -> None:
        """Close every connection; with ``clean``, as after `gesso stop`, otherwise as after a crash."""
        if self._closing:
            return
        if clean:
            discovery.remove(self.home)
        with self._lock, suppress(zmq.Again):  # a thread that saw the end by itself has closed the other side
            self._closing = True
            self._wake_out.send(b"", zmq.NOBLOCK)
        self._thread.join()
        self._wake_out.close(linger=0)
        self._context.term()
        with self._lock:
            for job in self.jobs.values():
                job.watchers.clear()
            self.uploads.clear()
            self._outbox.clear()
        fcntl.flock(self._owner, fcntl.LOCK_UN)

    def restart(self) -> None:
        self.stop(clean=False)
        self.start()

    def close(self) -> None:
        self.stop()
        os.close(self._owner)

    def seen(self, kind: str) -> list[Mapping[str, Any]]:
        with self._lock:
            return [message.header for message in self.requests if message.type == kind]

    def emit(self, job: str, kind: str, payload: bytes = b"", **body: Any) -> None:
        """The next event of a job; ``seq`` may be given to leave a gap."""
        with self._lock:
            entry = self.jobs[job]
            last = entry.events[-1][0]["seq"] if entry.events else 0
            header = {"type": kind, "job": job, "seq": last + 1, **body}
            entry.events.append((header, payload))
            for route in entry.watchers:
                self._outbox.append((route, encode(header, payload)))
        self._wake()

    def say(self, frames: list[bytes]) -> None:
        """Send these frames to everybody who watches anything."""
        with self._lock:
            for job in self.jobs.values():
                self._outbox.extend((route, frames) for route in job.watchers)
        self._wake()

    def finish(self, job: str, *images: bytes, **result: Any) -> None:
        """The job is done, with these images."""
        entries = []
        for index, data in enumerate(images):
            sha256 = hashlib.sha256(data).hexdigest()
            self.blobs[sha256] = data
            entries.append(
                {
                    "sha256": sha256, "media_type": "image/png", "size": len(data), "width": 4, "height": 2, "channels": 3,
                    "dtype": "uint8", "role": "image", "index": index, "seed": 7 + index, "score": None,
                    "recipe": {"operation": "generate"},
                }
            )  # fmt: skip
        body = {"images": entries, "warnings": ["a warning"], "level": "exact", "seconds": 1.5, "model": {"name": "m"}, **result}
        self.emit(job, "done", result=body)

    def _wake(self) -> None:
        with self._lock:
            if not self._closing:
                self._wake_out.send(b"")

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._zap, self._router, self._wake_in):
            poller.register(socket, zmq.POLLIN)
        while not self._closing:
            ready = dict(poller.poll())
            if self._wake_in in ready:
                self._wake_in.recv()
            if self._zap in ready:
                self._judge()
            if self._router in ready:
                route, *frames = self._router.recv_multipart()
                self._serve(route, decode(frames))
            with self._lock:
                outbox, self._outbox = self._outbox, []
            for route, frames in outbox:
                self._router.send_multipart([route, *frames])
        for socket in (self._zap, self._router, self._wake_in):
            socket.close()

    def _judge(self) -> None:
        version, request, _domain, _address, _identity, mechanism, *given = self._zap.recv_multipart()
        good = mechanism == b"NULL" or auth.matches(
            given[1].decode(), auth.client_proof(self.token, given[0].decode(), self.tcp or "")
        )  # fmt: skip
        self._zap.send_multipart([version, request, b"200" if good else b"400", b"", b"someone", b""])

    def _serve(self, route: bytes, message: Message) -> None:
        with self._lock:
            self.requests.append(message)
            self.on_request(message)
            lost = self.swallow[message.type] > 0
            self.swallow[message.type] -= lost
            before = len(self._outbox)
            if message.type in self.refuse:
                body, payload = {"type": "error", "error": self.refuse[message.type]}, b""
            else:
                body, payload = getattr(self, "on_" + message.type.replace(".", "_"))(route, message.header, message.payload)
            if not lost:
                self._outbox.insert(before, (route, encode({**body, "re": message.header["id"]}, payload)))
            else:
                del self._outbox[before:]

    def on_hello(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        body: dict[str, Any] = {"type": "welcome", "protocol": self.version, "version": "0.1.0", "pid": os.getpid(), "limits": dict(LIMITS)}
        body["principal"] = "owner"
        if self.tcp and header.get("nonce"):
            body["proof"] = auth.daemon_proof(self.token if self.honest else auth.new_token(), header["nonce"], self.tcp)
        if self.same_files:
            body.update(nonce_file=str(self.home.runtime / "nonce"), nonce_sha256=hashlib.sha256(self.nonce.encode()).hexdigest())
            body["blobs"] = str(self.home.blobs)
        return body, b""

    def on_ping(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        return {"type": "pong"}, b""

    def on_describe(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        offset = header.get("offset", 0)
        part = SCHEMA[offset : offset + LIMITS["payload_bytes"]]
        return {"type": "description", "digest": "d", "offset": offset, "size": len(SCHEMA)}, part

    def on_status(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        return {"type": "state", "pid": os.getpid(), "version": "0.1.0", "uptime": 1.0, "queue": {"waiting": 0}}, b""

    def on_submit(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        missing = [sha256 for sha256 in _hashes(header["params"]) if sha256 not in self.blobs]
        if missing:
            return {"type": "error", "error": {"code": "blob_missing", "message": "Missing.", "details": {"missing": missing}}}, b""
        job = next((job for job in self.jobs.values() if job.header["key"] == header["key"]), None)
        duplicate = job is not None
        if job is None:
            job = self.jobs[f"job{len(self.jobs)}"] = FakeJob(f"job{len(self.jobs)}", header)
            job.events.append(({"type": "queued", "job": job.id, "seq": 1, "position": 0}, b""))
        if header.get("watch") is not False:
            self._watch(route, job, 0)
        params = {**header["params"], "seed": header["params"].get("seed", 99)}
        return {"type": "accepted", "job": job.id, "state": "accepted", "seq": 0, "params": params, "duplicate": duplicate}, b""

    def on_attach(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        job = self.jobs.get(header["job"])
        if job is None:
            return {"type": "error", "error": {"code": "unknown_job", "message": "There is no such job.", "field": "job"}}, b""
        self._watch(route, job, header.get("from", 0))
        progress = next((event for event, _ in reversed(job.events) if event["type"] == "progress"), None)
        snapshot = {"progress": progress, "terminal": job.terminal}
        return {"type": "attached", "job": job.id, "state": "running", "seq": job.events[-1][0]["seq"], "snapshot": snapshot}, b""

    def _watch(self, route: bytes, job: FakeJob, first: int) -> None:
        if route in job.watchers:
            return
        job.watchers.add(route)
        for header, payload in job.events:
            if header["seq"] >= first:
                self._outbox.append((route, encode(header, payload)))

    def on_detach(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        self.jobs[header["job"]].watchers.discard(route)
        return {"type": "ok"}, b""

    def on_cancel(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        if self.jobs[header["job"]].terminal is None:
            self.emit(header["job"], "cancelled")
        return {"type": "ok"}, b""

    def on_list(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        found = [{"job": job.id, "operation": job.header["operation"], "state": "running"} for job in self.jobs.values()]
        if header.get("job"):
            found = [{**one, "params": self.jobs[one["job"]].header["params"]} for one in found if one["job"] == header["job"]]
        return {"type": "jobs", "jobs": found[: header.get("limit", 50)], "total": len(found)}, b""

    def on_blob_begin(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        if header.get("sha256") in self.blobs:
            return {"type": "blob.ready", "done": True}, b""
        name = f"up{len(self.uploads)}"
        self.uploads[name] = (header.get("sha256"), bytearray())
        path = str(self.home.incoming / name) if header.get("nonce") == self.nonce else None
        return {"type": "blob.ready", "upload": name, "path": path, "done": False}, b""

    def on_blob_part(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        if header["upload"] not in self.uploads:
            error = {"code": "protocol", "message": "There is no such upload.", "field": "upload"}
            return {"type": "error", "error": error}, b""
        sha256, data = self.uploads[header["upload"]]
        if header["offset"] == len(data):
            data += payload
        else:
            data += Path(self.home.incoming / header["upload"]).read_bytes()
        sha256 = sha256 or hashlib.sha256(data).hexdigest()
        complete = hashlib.sha256(data).hexdigest() == sha256
        if complete:
            self.blobs[sha256] = bytes(data)
        return {"type": "blob.progress", "upload": header["upload"], "received": len(data), "sha256": sha256 if complete else None}, b""

    def on_blob_get(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        data = self.blobs.get(header["sha256"])
        if data is None:
            return {"type": "error", "error": {"code": "blob_missing", "message": "Gone.", "field": "sha256"}}, b""
        part = data[header["offset"] : header["offset"] + header["length"]]
        return {"type": "blob.data", "sha256": header["sha256"], "offset": header["offset"], "size": len(data)}, part

    def on_stop(self, route: bytes, header: Mapping[str, Any], payload: bytes) -> Answer:
        threading.Thread(target=self.stop).start()
        return {"type": "ok"}, b""


def _hashes(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["sha256"]] if set(value) == {"sha256"} else []
        return own + [found for part in value.values() for found in _hashes(part)]
    return [found for part in value for found in _hashes(part)] if isinstance(value, list) else []
