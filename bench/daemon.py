"""What the front costs beside the work: a control message, an accepted job (on disk, fsynced), an image up and down, its memory.

The worker is a process that only sleeps, so that nothing but the front is measured. Writes bench/results/daemon.json.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gesso.client import Client
from gesso.wire import discovery
from gesso.wire.home import Home

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/daemon.json"
CALLS = 1000
JOBS = 300
IMAGE = os.urandom(16 << 20)
PROGRAM = """
import sys
from gesso.daemon import ServeOptions, serve
serve(ServeOptions(tcp=True, worker_command=(sys.executable, "-c", "import time; time.sleep(600)")))
"""


def timed(calls: int, work: Callable[[int], object]) -> dict[str, float]:
    """Milliseconds of each of so many calls: p50, p99, and how many a second."""
    seconds = []
    for number in range(calls):
        began = time.perf_counter()
        work(number)
        seconds.append(time.perf_counter() - began)
    seconds.sort()
    return {
        "p50_ms": round(statistics.median(seconds) * 1e3, 3),
        "p99_ms": round(seconds[int(len(seconds) * 0.99)] * 1e3, 3),
        "per_second": round(calls / sum(seconds)),
    }


def resident(pid: int) -> float:
    """MiB of memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def bandwidth(client: Client) -> dict[str, float]:
    """MiB a second of one 16 MiB image: to the front's disk (fsynced), and back to us."""
    began = time.perf_counter()
    sha256 = client.upload(IMAGE)
    stored = time.perf_counter()
    assert client.download(sha256) == IMAGE
    return {"up": round(16 / (stored - began)), "down": round(16 / (time.perf_counter() - stored))}


def measure(home: Path, transport: str, key: str) -> dict[str, object]:
    """All figures over one transport."""
    with Client(start=False, home=home, transport=transport, name=f"bench-{transport}") as client:
        found: dict[str, object] = {"ping": timed(CALLS, lambda _: client.ping())}
        found["accepted"] = timed(
            JOBS, lambda n: client.submit("generate", prompt="stone", model="procedural", key=f"{key}{n}", watch=False)
        )  # fmt: skip
        found["ping_with_full_queue"] = timed(CALLS, lambda _: client.ping())
        found["image_mib_per_second"] = bandwidth(client)
    return found


def main() -> None:
    """Measure both transports against one front each."""
    figures: dict[str, object] = {}
    for transport in ("ipc", "tcp"):
        with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as folder:
            home = Path(folder)
            front = subprocess.Popen([sys.executable, "-c", PROGRAM], env={**os.environ, "GESSO_HOME": folder})
            try:
                while (info := discovery.read(Home.find(home))) is None or info.pid != front.pid:
                    time.sleep(0.01)
                idle = resident(front.pid)
                figures[transport] = {**measure(home, transport, "k"), "front_mib": {"idle": idle, "after": resident(front.pid)}}
            finally:
                front.terminate()
                front.wait(15)
    figures["machine"] = {"cpus": os.cpu_count(), "system": platform.platform(), "sqlite": sqlite3.sqlite_version}
    figures["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
