"""What it costs to start: `gesso --help` and the front against `python -c pass`, in turns, medians. Writes bench/results/startup.json."""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/startup.json"
RUNS = 15
GOALS = {"gesso --help": 0.150, "front answers": 0.500}
"""Seconds."""


def environment(home: str) -> dict[str, str]:
    """This checkout, compiled as an installed package is, and a state directory of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("core", "plugins")), "GESSO_HOME": home}


def spent() -> float:
    """Processor seconds of the children that have ended: what a busy machine cannot falsify."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def whole_process(*words: str) -> float:
    """Seconds from start to end of a Python process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment("/nonexistent"))
    return time.perf_counter() - began


def front() -> float:
    """Seconds from starting `gesso serve` until `daemon.json` is there, that is, until it listens."""
    with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as home:
        began = time.perf_counter()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "gesso", "serve"], env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not os.path.exists(f"{home}/run/daemon.json"):
                if daemon.poll() is not None:
                    raise SystemExit(f"the daemon ended with code {daemon.returncode}")
                time.sleep(0.001)
            return time.perf_counter() - began
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(20)


CASES: dict[str, Callable[[], float]] = {
    "python -c pass": lambda: whole_process("-c", "pass"),
    "gesso --version": lambda: whole_process("-m", "gesso", "--version"),
    "gesso --help": lambda: whole_process("-m", "gesso", "--help"),
    "gesso generate --help": lambda: whole_process("-m", "gesso", "generate", "--help"),
    "front answers": front,
}


def main() -> int:
    """Measure in shuffled turns, so that a busy moment hurts all alike; print and write the medians."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    processor: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(RUNS):
        for name in random.sample(list(CASES), len(CASES)):
            before = spent()
            times[name].append(CASES[name]())
            processor[name].append(spent() - before)
    rows = {
        name: {
            "median_ms": round(1000 * statistics.median(values), 1),
            "p90_ms": round(1000 * sorted(values)[int(0.9 * (RUNS - 1))], 1),
            "processor_ms": round(1000 * statistics.median(processor[name]), 1),
        }
        for name, values in times.items()
    }
    for name, row in rows.items():
        goal = f"  goal {1000 * GOALS[name]:.0f}" if name in GOALS else ""
        print(f"{name:24} median {row['median_ms']:8.1f} ms  p90 {row['p90_ms']:8.1f} ms  processor {row['processor_ms']:8.1f} ms{goal}")
    load = os.getloadavg()[0]
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": load,
        "runs": RUNS,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({**document, "results": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
