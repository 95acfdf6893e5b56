"""How OpenMP's threads should wait, and what `fast` gains by choosing threads and kernels as it measures them: a small convolutional step
under each policy and each choice, alone and beside busy programs. Medians.

    python bench/threads.py            writes bench/results/threads.json

Each measurement is a process of its own, because the policy is read once; policies take turns, so that a busy moment hurts all alike.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/threads.json"
ROUNDS, STEPS = 3, 15
POLICIES: dict[str, dict[str, str]] = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads, spinning (default)": {"OMP_NUM_THREADS": "2"},
    "2 threads, sleeping": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
    "2 threads, brief spin (20000)": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "20000"},
    "2 threads, brief spin (2000)": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "2000"},
}
STEP = f"""
import statistics, time, torch
layers = [torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(12)]
x = torch.randn(2, 64, 16, 16)
times = []
with torch.no_grad():
    for _ in range({STEPS} + 3):
        began = time.perf_counter()
        y = x
        for layer in layers:
            y = torch.nn.functional.silu(torch.nn.functional.group_norm(layer(y), 8))
        times.append(time.perf_counter() - began)
print(statistics.median(times[3:]) * 1000)
"""
ADAPTING = """
import itertools, json, statistics, sys, time
from gesso.device.threads import alternatives, prepare, thread_count
prepare(thread_count())
import torch
from gesso.engine.kernels import Kernels, choices
torch.set_num_threads(thread_count())
layers = [torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(12)]
x = torch.randn(2, 64, int(sys.argv[1]), int(sys.argv[1]))
def step(choice):
    began = time.perf_counter()
    with torch.no_grad(), choice.applied():
        y = x
        for layer in layers:
            y = torch.nn.functional.silu(torch.nn.functional.group_norm(layer(y), 8))
    return time.perf_counter() - began
tried = choices(torch.device("cpu"), alternatives())
kernels, adaptive, fixed = Kernels(tried), [], {choice: [] for choice in tried}
for number in range(96):
    choice = kernels.pick(("step",), 2)
    seconds = step(choice)
    kernels.record(("step",), 2, choice, seconds)
    if number >= 32:
        adaptive.append(seconds)
        for choice in tried:
            fixed[choice].append(step(choice))
named = {f"{c.threads} thread{'s' * (c.threads > 1)}, {'oneDNN' if c.onednn else 'native'}": fixed[c] for c in tried}
print(json.dumps({name: statistics.median(times) * 1000 for name, times in {**named, "adaptive": adaptive}.items()}))
"""
BUSY = "while True: pass"


def step_ms(policy: dict[str, str]) -> float:
    """The median step of one process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    told = subprocess.run([sys.executable, "-c", STEP], env={**clean, **policy}, check=True, capture_output=True, text=True)
    return float(told.stdout)


def adapting(side: int, neighbours: int) -> dict[str, float]:
    """Each choice that `fast` may take, and `fast` itself, in turns in one process."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(neighbours)]
    try:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_", "GESSO_"))}
        environ = {**clean, "PYTHONPATH": str(ROOT / "core")}
        told = subprocess.run([sys.executable, "-c", ADAPTING, str(side)], env=environ, check=True, capture_output=True, text=True)
        return {name: round(value, 2) for name, value in json.loads(told.stdout).items()}
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(neighbours: int) -> dict[str, float]:
    """Each policy beside so many busy programs."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(neighbours)]
    try:
        time.sleep(0.5)
        times: dict[str, list[float]] = {name: [] for name in POLICIES}
        for _ in range(ROUNDS):
            for name, policy in POLICIES.items():
                times[name].append(step_ms(policy))
        return {name: round(statistics.median(values), 2) for name, values in times.items()}
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> int:
    load = round(os.getloadavg()[0], 2)
    measured = {f"{neighbours} busy neighbours": measure(neighbours) for neighbours in (0, 2)}
    for setting, rows in measured.items():
        for name, value in rows.items():
            print(f"{setting:20} {name:32} {value:8.2f} ms a step")
    choices = {
        f"{side}x{side}, {neighbours} busy neighbours": adapting(side, neighbours) for side in (8, 16, 64) for neighbours in (0, 2)
    }
    for setting, rows in choices.items():
        print(f"{setting:28} " + "  ".join(f"{name} {value:.2f}" for name, value in rows.items()))
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count(), "load_at_start": load},
        "setting": "12 convolutions of 64 channels at 16x16, batch 2",
        "median_ms": measured,
        "choices_of_fast_median_ms": choices,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
