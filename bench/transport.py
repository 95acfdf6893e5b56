"""An image of 4096 x 4096 RGBA8 from a host to the daemon and back: by files that both see, by frames over ipc, and as A1111 does it
(PNG in base64 in JSON over HTTP, both ends here), beside two plain copies in memory, one hash and one write to disk. And what a control
message costs while the front is busy with images.

All rounds take turns in one run, and medians are compared. Writes bench/results/transport.json.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from gesso.client import Client, opening, transfer
from gesso.wire import discovery
from gesso.wire.home import Home

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/transport.json"
SIDE = 4096
ROUNDS = 7
SLOW_ROUNDS = 1
PINGS = 1000
FRONT = """
import sys
from gesso.daemon import ServeOptions, serve
serve(ServeOptions(worker_command=(sys.executable, "-c", "import time; time.sleep(600)")))
"""
BUSY = """
import os
from gesso.client import Client
with Client(start=False, name="busy") as client:
    while True:
        client.download(client.upload(os.urandom(4 << 20)))
"""


def picture() -> np.ndarray:
    """Soft shapes with some grain: as large as a PNG of a texture is, not of noise."""
    chance = np.random.default_rng(1)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    planes = [np.sin(x * a + y * b) * 100 + 128 for a, b in ((20, 9), (7, 31), (15, 15))]
    pixels = np.stack([*planes, np.full_like(x, 255)], axis=2)
    pixels[..., :3] += chance.normal(0, 2, (SIDE, SIDE, 1))
    return pixels.clip(0, 255).astype(np.uint8)


def fresh(pixels: np.ndarray, number: int) -> bytes:
    """Bytes that no round had before: the daemon would know them."""
    pixels.reshape(-1)[:8] = np.frombuffer(number.to_bytes(4, "little") + os.urandom(4), np.uint8)
    return pixels.tobytes()


def two_copies(data: bytes, target: ctypes.Array[ctypes.c_char]) -> None:
    """There and back, into memory that is there already."""
    for _ in range(2):
        ctypes.memmove(target, data, len(data))


def durable(data: bytes) -> None:
    """One file on disk: what the daemon owes to every input before it says that it has it."""
    with tempfile.TemporaryFile(dir=os.environ["GESSO_HOME"]) as file:
        file.write(data)
        os.fsync(file.fileno())


def through(client: Client, data: bytes, target: ctypes.Array[ctypes.c_char]) -> None:
    """Up, and down again into the host's own memory."""
    memoryview(target).cast("B")[:] = transfer.view(client._core.link, client.upload(data))


class A1111(BaseHTTPRequestHandler):
    """The other end of `img2img`: decodes the first of `init_images`, and answers with it encoded anew."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        image = Image.open(io.BytesIO(base64.b64decode(request["init_images"][0])))
        image.load()
        body = json.dumps({"images": [encoded(np.asarray(image))]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def encoded(pixels: np.ndarray) -> str:
    """PNG as Pillow writes it unasked, in base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def over_http(pixels: np.ndarray, port: int) -> None:
    """Up and down again, as A1111's clients do."""
    body = json.dumps({"init_images": [encoded(pixels)]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/sdapi/v1/img2img", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        answer = json.loads(response.read())
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["images"][0]))))
    assert np.array_equal(back, pixels)


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def images(files: Client, frames: Client) -> dict[str, object]:
    """Every way in turn, so that a busy moment of the machine falls on all of them."""
    pixels = picture()
    target = (ctypes.c_char * pixels.nbytes)()
    seconds: dict[str, list[float]] = {"two_memcpys": [], "file": [], "ipc_frames": [], "sha256": [], "write_and_fsync": []}
    for number in range(ROUNDS):
        data = fresh(pixels, number)
        seconds["two_memcpys"].append(timed(lambda data=data: two_copies(data, target)))  # type: ignore[misc]
        seconds["file"].append(timed(lambda data=data: through(files, data, target)))  # type: ignore[misc]
        seconds["sha256"].append(timed(lambda data=data: hashlib.sha256(data).digest()))  # type: ignore[misc]
        seconds["write_and_fsync"].append(timed(lambda data=data: durable(data)))  # type: ignore[misc]
        data = fresh(pixels, number)
        seconds["ipc_frames"].append(timed(lambda data=data: through(frames, data, target)))  # type: ignore[misc]
    server = ThreadingHTTPServer(("127.0.0.1", 0), A1111)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seconds["a1111_http"] = [timed(lambda: over_http(pixels, server.server_port)) for _ in range(SLOW_ROUNDS)]
    server.shutdown()
    server.server_close()
    found: dict[str, object] = {}
    for word, choose in (("median", statistics.median), ("least", min)):  # the least is what a quiet moment of the machine gave
        chosen = {name: float(choose(values)) for name, values in seconds.items()}
        found[word] = {
            "milliseconds": {name: round(value * 1e3, 1) for name, value in chosen.items()},
            "file_over_two_memcpys": round(chosen["file"] / chosen["two_memcpys"], 2),
            "file_over_what_content_addressing_owes": round(chosen["file"] / max(chosen["sha256"], chosen["write_and_fsync"]), 2),
            "a1111_over_file": round(chosen["a1111_http"] / chosen["file"], 1),
            "ipc_frames_over_file": round(chosen["ipc_frames"] / chosen["file"], 2),
        }
    return found


def pings(client: Client) -> dict[str, float]:
    """Milliseconds of a control message."""
    found = sorted(timed(client.ping) * 1e3 for _ in range(PINGS))
    return {"p50_ms": round(statistics.median(found), 3), "p99_ms": round(found[int(PINGS * 0.99)], 3)}


def measure(home: Path) -> dict[str, object]:
    """All figures of one front."""
    with Client(start=False, home=home, name="bench") as files:
        read, opening._read_nonce = opening._read_nonce, lambda _: None  # a client that sees another file system
        with Client(start=False, home=home, name="bench-frames") as frames:
            opening._read_nonce = read
            figures: dict[str, object] = {"image": images(files, frames)}
        figures["ping"] = pings(files)
        busy = subprocess.Popen([sys.executable, "-c", BUSY])
        time.sleep(1.0)
        figures["ping_with_front_busy"] = pings(files)
        busy.terminate()
        busy.wait(15)
    return figures


def main() -> None:
    """One front, one run."""
    with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as folder:
        os.environ["GESSO_HOME"] = folder
        front = subprocess.Popen([sys.executable, "-c", FRONT])
        try:
            while (info := discovery.read(Home.find(Path(folder)))) is None or info.pid != front.pid:
                time.sleep(0.01)
            figures = measure(Path(folder))
        finally:
            front.terminate()
            front.wait(15)
    figures["machine"] = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "system": platform.platform()}
    figures["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
