"""A bare client for tests: every request and event by hand over pyzmq, so that tests can also say what no good client says."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from gesso.errors import GessoError
from gesso.wire import auth, discovery
from gesso.wire import message as wire
from gesso.wire.home import Home
from gesso.wire.transport import Curve

HERE = Path(__file__).parent
TERMINAL = wire.TERMINAL


class Talk:
    """One connection. `ask` returns the answer and keeps the events that came before it."""

    def __init__(
        self,
        endpoint: str,
        *,
        token: str | None = None,
        curve: Curve | None = None,
        name: str = "test",
        hello: bool = True,
        rcvhwm: int = 1000,
    ) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = rcvhwm
        self.alive: Callable[[], bool] = lambda: True
        self.nonce = auth.new_nonce() if token else None
        if token and self.nonce:
            self.socket.plain_username = self.nonce.encode()
            self.socket.plain_password = auth.client_proof(token, self.nonce, endpoint).encode()
        if curve is not None:
            self.socket.curve_serverkey = bytes.fromhex(curve.server_key)
            self.socket.curve_publickey = bytes.fromhex(curve.public_key)
            self.socket.curve_secretkey = bytes.fromhex(curve.secret_key)
        self.socket.connect(endpoint)
        self.events: deque[dict[str, Any]] = deque()
        self.previews: list[bytes] = []
        self._ids = itertools.count(1)
        self.welcome: dict[str, Any] = {}
        if hello:
            try:
                self.welcome = self.hello(name)
            except BaseException:
                self.close()
                raise

    def hello(self, name: str) -> dict[str, Any]:
        """Say hello; the daemon's welcome."""
        return self.ask("hello", client=name, version="0", protocol=[1], nonce=self.nonce)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()

    def post(self, kind: str, payload: bytes = b"", **fields: Any) -> str:
        ident = str(next(self._ids))
        header = {"type": kind, "id": ident, **{name.rstrip("_"): value for name, value in fields.items() if value is not None}}
        self.socket.send_multipart(wire.encode(header, payload))
        return ident

    def receive(self, timeout: float = 20.0) -> wire.Message:
        deadline = time.monotonic() + timeout
        while not self.socket.poll(min(50, max(0, int((deadline - time.monotonic()) * 1000)))):
            if time.monotonic() > deadline or not self.alive():
                raise TimeoutError(f"nothing came in {timeout} seconds")
        return wire.decode(self.socket.recv_multipart())

    def answer(self, ident: str, timeout: float = 20.0) -> tuple[dict[str, Any], bytes]:
        while True:
            message = self.receive(timeout)
            if message.header.get("re") != ident:
                self._keep(message)
            elif message.type == "error":
                raise GessoError.from_wire(message.header["error"])
            else:
                wire.check_answer(message.header)
                return dict(message.header), message.payload

    def ask(self, kind: str, payload: bytes = b"", **fields: Any) -> dict[str, Any]:
        return self.answer(self.post(kind, payload, **fields))[0]

    def submit(self, prompt: str, key: str | None = None, **fields: Any) -> dict[str, Any]:
        params = {"prompt": prompt, **fields.pop("params", {})}
        return self.ask("submit", key=key or os.urandom(8).hex(), operation="paint", params=params, **fields)

    def event(self, job: str, *kinds: str, timeout: float = 20.0) -> dict[str, Any]:
        """The next event of this job, of one of ``kinds`` (default: any)."""
        deadline = time.monotonic() + timeout
        while True:
            for event in list(self.events):
                if event["job"] == job:
                    self.events.remove(event)
                    if not kinds or event["type"] in kinds:
                        return event
            self._keep(self.receive(deadline - time.monotonic()))

    def end(self, job: str, timeout: float = 20.0) -> dict[str, Any]:
        """The job's terminal event."""
        return self.event(job, *TERMINAL, timeout=timeout)

    def run(self, prompt: str, **fields: Any) -> dict[str, Any]:
        return self.end(self.submit(prompt, **fields)["job"])

    def blob(self, sha256: str) -> bytes:
        data = b""
        while True:
            header, payload = self.answer(self.post("blob.get", sha256=sha256, offset=len(data)))
            data += payload
            if len(data) >= header["size"]:
                return data

    def upload(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        ready = self.ask("blob.begin", size=len(data), sha256=sha256)
        step = wire.LIMITS["payload_bytes"]
        for offset in () if ready["done"] else range(0, max(len(data), 1), step):
            self.ask("blob.part", data[offset : offset + step], upload=ready["upload"], offset=offset)
        return sha256

    def _keep(self, message: wire.Message) -> None:
        assert "re" not in message.header, message.header
        if message.type == "preview":
            self.previews.append(message.payload)
        self.events.append(dict(message.header))


class Daemon:
    """A real front with fake workers, in a process of its own."""

    def __init__(self, root: Path, environment: dict[str, str] | None = None, **plan: Any) -> None:
        self.home = Home.find(root, {})
        self.root = root
        self.environment = {**os.environ, "GESSO_HOME": str(root), **(environment or {})}
        self.plan = plan
        self.process: subprocess.Popen[str] | None = None

    def start(self, *, wait: bool = True, **plan: Any) -> Daemon:
        command = [sys.executable, str(HERE / "run_front.py"), json.dumps({**self.plan, **plan})]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if wait:
            self.info()
        return self

    @property
    def live(self) -> subprocess.Popen[str]:
        assert self.process is not None
        return self.process

    def info(self, timeout: float = 20.0) -> discovery.DaemonInfo:
        """What the running front published."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            info = discovery.read(self.home) if self.root.exists() else None
            if info is not None and info.pid == self.live.pid:
                return info
            if self.live.poll() is not None:
                raise RuntimeError(f"the front ended with {self.live.returncode}: {self.output()}")
            time.sleep(0.005)
        raise TimeoutError("the front did not start")

    def talk(self, **options: Any) -> Talk:
        endpoint = self.info().ipc
        assert endpoint is not None
        return Talk(endpoint, **options)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.live.poll() is None

    def ended_at(self, job: str) -> int:
        """The line of the log that says that the job ended."""
        lines = self.home.daemon_log.read_text().splitlines()
        return next(i for i, line in enumerate(lines) if job in line and '"a job ended"' in line)

    def has_ended(self, job: str) -> bool:
        """Whether the log says so."""
        return any(job in line and '"a job ended"' in line for line in self.home.daemon_log.read_text().splitlines())

    def kill(self) -> None:
        """SIGKILL, as a power cut of the process."""
        self.live.kill()
        self.output()

    def output(self, timeout: float = 10.0) -> str:
        """What it printed, once it has ended."""
        self.live.wait(timeout)
        assert self.live.stdout is not None
        text = "" if self.live.stdout.closed else self.live.stdout.read()
        self.live.stdout.close()
        return text

    def stop(self, timeout: float = 10.0) -> str:
        """SIGTERM, and what it printed."""
        if self.live.poll() is None:
            self.live.send_signal(signal.SIGTERM)
        return self.output(timeout)


def memory_of(pid: int) -> int:
    """Resident bytes of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
