"""A small front: the real link socket on a loop in a thread, and a real worker process. It journals nothing."""

from __future__ import annotations

import asyncio
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import zmq

from gesso.link import SECRET_VARIABLE, BlackBox
from gesso.link.front_link import FrontLink
from gesso.link.messages import Event, Finished, Go, Lease, Message, Ready, Resolved, Shutdown
from gesso.link.zap import ZapHandler

M = TypeVar("M", bound=Message)
PATIENCE = 90.0


class Front:
    """Start with ``with Front(folder) as front``; `take` gives the worker's messages of one type in order, keeping the others."""

    def __init__(self, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.box = folder / "box"
        self._folder = folder
        self._arguments = arguments
        self._environ = {"GESSO_THREADS": "1", **(environ or {})}
        self._messages: queue.Queue[Message] = queue.Queue()
        self._kept: list[Message] = []
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Front:
        self._thread.start()
        assert self._up.wait(10)
        command = [sys.executable, "-m", "gesso.worker", "--link", self._link.endpoint, "--black-box", str(self.box), *self._arguments]
        environ = {**os.environ, **self._environ, SECRET_VARIABLE: self._secret}
        self._log = (self._folder / "log").open("wb")
        self.process = subprocess.Popen(command, env=environ, stdout=self._log, stderr=self._log, start_new_session=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()
        self._thread.join(10)
        self._log.close()

    def hang_up(self) -> None:
        """Close the socket, as a front that dies does."""
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._over.set)
            except RuntimeError:
                return

    def send(self, *messages: Message) -> None:
        """Sends the messages at once, with nothing between them."""

        def together() -> None:
            for message in messages:
                self._link.send("w", message)

        self._loop.call_soon_threadsafe(together)

    def take(self, kind: type[M], wanted: Callable[[M], bool] = lambda _: True) -> M:
        """The next message of a type that is wanted; fails loudly with the worker's log."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for message in self._kept:
                if isinstance(message, kind) and wanted(message):
                    self._kept.remove(message)
                    return message
            try:
                self._kept.append(self._messages.get(timeout=0.2))
            except queue.Empty:
                if self.process.poll() is not None and self._messages.empty():
                    break
        raise AssertionError(f"no {kind.__name__} came; kept {self._kept[-5:]}; the worker's log ends\n{self.log()[-3000:]}")

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def lease(self, operation: str, params: Mapping[str, Any], **options: Any) -> str:
        """Lease a job and return its id; ``options``: level, output, priority, client, spec, attempt."""
        job = uuid.uuid4().hex
        request = {
            "operation": operation,
            "params": dict(params),
            "level": options.get("level", "exact"),
            "output": options.get("output", "png"),
        }
        priority, client = options.get("priority", "batch"), options.get("client", "test")
        self.send(
            Lease(job=job, attempt=options.get("attempt", 1), request=request, spec=options.get("spec"), priority=priority, client=client)
        )
        return job

    def release(self, job: str, spec: Mapping[str, Any]) -> None:
        """Lease a frozen job again, under its own id, as after the loss of a worker."""
        request = {"operation": spec["operation"], "params": {}, "level": spec["level"], "output": "png"}
        self.send(Lease(job=job, attempt=2, request=request, spec=spec, priority="batch", client="test"))

    def go(self, job: str) -> Mapping[str, Any]:
        """Take the frozen job and let it run."""
        spec = self.take(Resolved, lambda message: message.job == job).spec
        self.send(Go(job=job))
        return spec

    def end(self, job: str) -> Finished:
        return self.take(Finished, lambda message: message.job == job)

    def ended(self, job: str) -> bool:
        """Whether an end has come that nobody took."""
        return any(isinstance(message, Finished) and message.job == job for message in self._kept)

    def run(self, operation: str, params: Mapping[str, Any], **options: Any) -> Finished:
        job = self.lease(operation, params, **options)
        self.go(job)
        return self.end(job)

    def events(self, job: str, kind: str) -> list[Event]:
        """The events of a kind that have come and were not taken."""
        return [message for message in self._kept if isinstance(message, Event) and message.job == job and message.body["type"] == kind]

    def ready(self) -> Ready:
        return self.take(Ready)

    def stop(self) -> int:
        self.send(Shutdown())
        return self.process.wait(30)

    def marked(self) -> tuple[str, ...]:
        return BlackBox.read(self.box)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        zap = ZapHandler(context)
        endpoint = f"ipc://{self._folder}/link"
        self._link = FrontLink(context, zap, endpoint, lambda _, message: self._messages.put(message), lambda *_: None)
        self._secret = self._link.admit("w")
        self._up.set()
        await self._over.wait()
        self._link.close()
        zap.close()
        context.destroy(linger=0)
