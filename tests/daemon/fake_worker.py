"""A worker without torch: a real process on the real link, that does what the prompt of a job tells it.

The prompt is a list of words: `sleep:S`, `progress:N`, `previews:N:BYTES`, `log:N`, `image:BYTES`, `images:N`, `unique`,
`fail:CODE`, `invalid`, `segv`, `abort`, `kill`, `exit:N`, `hang` (the engine's loop stops), `deaf` (ignores Cancel),
`once:FILE:WORD` (WORD on the first attempt only), `gate:FILE` (waits for the file), `note:FILE` (adds the job's id to the file),
`fetch` (its picture is the input),
`flood:N` (prints N KiB), `say:WORDS_OF_IT`,
`garbage` (breaks the protocol), `lie:HOW` (says what no worker should). Without words it ends at once.
`GESSO_FAKE_START` = `exit`, `late:S`, `silent` spoils the start.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gesso.link import BlackBox, WorkerLink, die_with_parent, take_secret
from gesso.link.messages import Blob, Bye, Cancel, Event, Fetch, Finished, Go, Lease, Message, Ready, Resolved, Shutdown, Steer


class Cancelled(Exception):
    """The job was cancelled."""


class Fake:
    """Runs every leased job on a thread of its own; the black box names all jobs that compute."""

    def __init__(self, link: WorkerLink, box: BlackBox, replay: Path) -> None:
        self.link = link
        self.replay = replay
        self.box = box
        self.lock = threading.Lock()
        self.computing: list[str] = []
        self.cancelled: set[str] = set()
        self.paused: set[str] = set()
        self.priorities: dict[str, str] = {}
        self.going: dict[str, threading.Event] = {}
        self.blobs: dict[str, queue.Queue[bytes]] = {}
        self.hanging = False

    def serve(self) -> None:
        while True:
            if not self.hanging:
                self.link.turned()
            try:
                message = self.link.inbox.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(message, Shutdown):
                return
            self.take(message)

    def take(self, message: Message) -> None:
        if isinstance(message, Lease):
            self.going[message.job] = threading.Event()
            threading.Thread(target=self.run, args=(message,), daemon=True).start()
        elif isinstance(message, Go):
            self.going[message.job].set()
        elif isinstance(message, Cancel):
            self.cancelled.add(message.job)
        elif isinstance(message, Steer):
            (self.paused.add if message.paused else self.paused.discard)(message.job)
            self.priorities[message.job] = message.priority
        elif isinstance(message, Blob):
            self.blobs[message.sha256].put(message.blobs[0] if message.blobs else b"")

    def run(self, lease: Lease) -> None:
        words = str(lease.request["params"]["prompt"]).split()
        try:
            if "invalid" in words:
                error = {"code": "invalid", "message": "steps and size do not fit together.", "field": "steps"}
                self.link.send(Finished(job=lease.job, state="failed", error=error))
                return
            self.link.send(Resolved(job=lease.job, spec=lease.spec or {"resolved": True, "attempt": lease.attempt}))
            while not self.going[lease.job].wait(0.02):
                self.check(lease, words)
            self.mark(lease.job, True)
            self.replay.mkdir(exist_ok=True)
            (self.replay / f"{lease.job}.replay").touch()
            pictures = self.work(lease, words)
            self.mark(lease.job, False)
            images = [{"media_type": "image/png", "width": 1, "height": 1, "role": "image", "index": i} for i in range(len(pictures))]
            result = {"images": images, "warnings": [], "level": "exact", "seconds": 0.0, "model": {"name": "fake", "digest": ""}}
            info = {"spec": lease.spec, "priority": self.priorities.get(lease.job, lease.priority)}
            self.link.send(Finished(job=lease.job, state="done", result={**result, "info": info}, blobs=tuple(pictures)))
        except Cancelled:
            self.mark(lease.job, False)
            self.link.send(Finished(job=lease.job, state="cancelled"))

    def mark(self, job: str, on: bool) -> None:
        with self.lock:
            self.computing = [*self.computing, job] if on else [other for other in self.computing if other != job]
            self.box.mark(self.computing)

    def check(self, lease: Lease, words: list[str]) -> None:
        while lease.job in self.paused and lease.job not in self.cancelled:
            time.sleep(0.01)
        if lease.job in self.cancelled and "deaf" not in words:
            raise Cancelled

    def work(self, lease: Lease, words: list[str]) -> list[bytes]:
        pictures: list[bytes] = []
        for word in words:
            self.check(lease, words)
            name, _, rest = word.partition(":")
            if name == "once":
                mark, _, rest = rest.partition(":")
                if Path(mark).exists():
                    continue
                Path(mark).touch()
                name, _, rest = rest.partition(":")
            if name in ("image", "images", "unique", "fetch"):
                pictures.extend(self.pictures(lease, name, rest))
            elif name.startswith("fail"):
                self.mark(lease.job, False)
                self.link.send(Finished(job=lease.job, state="failed", error={"code": rest or "job", "message": "It failed."}))
                sys.exit()
            else:
                getattr(self, f"do_{name}", lambda *_: None)(lease, words, rest)
        return pictures or [picture(lease, 64)]

    def pictures(self, lease: Lease, name: str, rest: str) -> list[bytes]:
        if name == "fetch":
            sha256 = lease.request["params"]["image"]["sha256"]
            self.blobs[sha256] = queue.Queue()
            self.link.send(Fetch(sha256=sha256))
            return [self.blobs[sha256].get(timeout=10)]
        if name == "unique":
            return [os.urandom(int(rest or 64))]
        return [picture(lease, int(rest), i) for i in range(1)] if name == "image" else [picture(lease, 64, i) for i in range(int(rest))]

    def do_sleep(self, lease: Lease, words: list[str], rest: str) -> None:
        end = time.monotonic() + float(rest)
        while time.monotonic() < end:
            self.check(lease, words)
            time.sleep(0.01)

    def do_gate(self, lease: Lease, words: list[str], rest: str) -> None:
        while not Path(rest).exists():
            self.check(lease, words)
            time.sleep(0.01)

    def do_note(self, lease: Lease, words: list[str], rest: str) -> None:
        with Path(rest).open("a") as file:
            file.write(f"{lease.job}\n")

    def do_progress(self, lease: Lease, words: list[str], rest: str) -> None:
        for step in range(1, int(rest) + 1):
            self.check(lease, words)
            self.emit(lease, {"type": "progress", "image": 0, "images": 1, "step": step, "total": int(rest), "fraction": step / int(rest)})

    def do_previews(self, lease: Lease, words: list[str], rest: str) -> None:
        count, _, size = rest.partition(":")
        for number in range(int(count)):
            self.check(lease, words)
            body = {"type": "preview", "image": 0, "width": 1, "height": 1, "media_type": "image/jpeg"}
            self.emit(lease, body, bytes([number % 256]) * int(size))

    def do_log(self, lease: Lease, words: list[str], rest: str) -> None:
        for number in range(int(rest)):
            self.emit(lease, {"type": "log", "level": "info", "message": f"line {number}"})

    def do_flood(self, lease: Lease, words: list[str], rest: str) -> None:
        for number in range(int(rest)):
            print(f"line {number} " + "x" * 990)

    def do_say(self, lease: Lease, words: list[str], rest: str) -> None:
        os.write(2, rest.replace("_", " ").encode() + b"\n")

    def do_garbage(self, lease: Lease, words: list[str], rest: str) -> None:
        self.emit(lease, {"type": "nonsense"})
        self.link.send(Go(job=lease.job))

    def do_lie(self, lease: Lease, words: list[str], rest: str) -> None:
        result: dict[str, Any] = {
            "images": [{}],
            "warnings": [],
            "level": "exact",
            "seconds": 0.0,
            "model": {},
            "environment": {},
            "info": {},
        }
        if rest == "event":
            self.emit(lease, {"type": "progress", "step": "x" * 100_000})
            self.emit(lease, {"type": "preview", "image": 0}, bytes(2 << 20))
            self.emit(lease, {"type": "done", "result": result})
            return
        lies = {
            "count": Finished(job=lease.job, state="done", result={**result, "images": [{}, {}]}, blobs=(b"one",)),
            "big": Finished(job=lease.job, state="done", result={**result, "warnings": ["x" * 300_000]}, blobs=(b"one",)),
            "none": Finished(job=lease.job, state="done"),
            "error": Finished(job=lease.job, state="failed", error={"code": "job", "message": "x" * 300_000}),
            "state": Finished(job=lease.job, state="sideways", result=result, blobs=(b"one",)),
            "twice": Finished(job=lease.job, state="done", result=result, blobs=(b"one",)),
        }
        self.mark(lease.job, False)
        self.link.send(lies[rest])
        if rest == "twice":
            self.link.send(Finished(job=lease.job, state="failed", error={"code": "job", "message": "again"}))
        sys.exit()

    def do_hang(self, lease: Lease, words: list[str], rest: str) -> None:
        self.hanging = True
        threading.Event().wait()

    def do_segv(self, lease: Lease, words: list[str], rest: str) -> None:
        signal.raise_signal(signal.SIGSEGV)  # to this very thread: nothing runs after it

    def do_kill(self, lease: Lease, words: list[str], rest: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()

    def do_abort(self, lease: Lease, words: list[str], rest: str) -> None:
        os.abort()

    def do_exit(self, lease: Lease, words: list[str], rest: str) -> None:
        os._exit(int(rest))

    def emit(self, lease: Lease, body: dict[str, Any], *blobs: bytes) -> None:
        self.link.send(Event(job=lease.job, body=body, blobs=blobs))


def picture(lease: Lease, size: int, index: int = 0) -> bytes:
    """Bytes that only the request decides, as at the level `exact`."""
    seed = hashlib.sha256(f"{lease.request['params']['seed']} {index}".encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def main() -> None:
    die_with_parent()
    parser = argparse.ArgumentParser()
    for name in ("--link", "--device", "--black-box", "--models", "--replay", "--plugins"):
        parser.add_argument(name, required=True)
    options, _ = parser.parse_known_args()
    start, _, rest = os.environ.get("GESSO_FAKE_START", "").partition(":")
    if start == "exit":
        sys.exit("the fake worker was told not to start")
    box = BlackBox(Path(options.black_box))
    link = WorkerLink(options.link, take_secret(), heartbeat=0.1, on_lost=lambda: os._exit(1))
    if start == "silent":
        threading.Event().wait()
    time.sleep(float(rest) if start == "late" else 0)
    link.send(
        Ready(worker="fake", pid=os.getpid(), slots=int(os.environ.get("GESSO_FAKE_SLOTS", "2")), info={"device": "fake", "resident": []})
    )
    if start == "barren":
        link.inbox.get()
        os._exit(3)
    Fake(link, box, Path(options.replay)).serve()
    link.send(Bye())
    link.close()


if __name__ == "__main__":
    main()
