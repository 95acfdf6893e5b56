"""What isolation costs: the same sampler driven in this process and in a process of its own, in turns, on latents of three sizes; and the
start of one use. Nothing but the sampler runs. Two processes that wait for one another feel a busy machine, so beside the medians there is
the mean of the quickest tenth. Writes bench/results/isolation.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from gesso import environments
from gesso.engine import Denoised
from gesso.isolation.proxies import register
from gesso.isolation.server import Server
from gesso.manifest import Manifest
from gesso.math import Noise
from gesso.plugin import Registry, add_stranger, compile_operations
from gesso.strangers import Record, Shelf

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/isolation.json"
STEPS = 40
RUNS = 15
SIZES = {"512 x 512": (1, 4, 64, 64), "1024 x 1024": (1, 4, 128, 128), "1024 x 1024, 16 channels": (1, 16, 128, 128)}
SOURCE = '''
from itertools import pairwise
from gesso.plugin import hookimpl, sampler

@sampler("ancestral", title="Ancestral", paper="none", stochastic=True)
def ancestral(x, sigmas, noise):
    for sigma, after in pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        x = denoised + (x - denoised) / sigma * after / 2 + noise(sigma, after) * after / 2
    return x

@hookimpl
def gesso_samplers(ctx):
    return [ancestral]
'''


def driven(sampler: Generator[Any, Any, Any]) -> tuple[torch.Tensor, float, list[float]]:
    """The result, seconds until the first request, and seconds of each further step."""
    began = time.perf_counter()
    x, _ = next(sampler)
    first, steps = time.perf_counter() - began, []
    while True:
        x0 = x * 0.5
        reply = Denoised(x0, x0, (x0, x0 * 0.9))
        began = time.perf_counter()
        try:
            x, _ = sampler.send(reply)
        except StopIteration as end:
            return end.value, first, steps
        steps.append(time.perf_counter() - began)


def measure(own: Any, isolated: Any, shape: Sequence[int]) -> dict[str, float]:
    """Both in turns; the results must be the same bits."""
    sigmas = [STEPS - step + 0.0 for step in range(STEPS)] + [0.0]
    steps: dict[str, list[float]] = {"own": [], "isolated": []}
    starts: list[float] = []
    for run in range(RUNS):
        results = []
        for name, spec in (("own", own), ("isolated", isolated)):
            x = torch.randn(shape, generator=torch.Generator().manual_seed(run))
            result, first, each = driven(spec(x, sigmas, noise=Noise.like(x, run)))
            results.append(result)
            steps[name].extend(each)
            if name == "isolated":
                starts.append(first)
        assert torch.equal(*results), "isolation changed the bits"
    return {
        "step_in_the_worker_us": round(statistics.median(steps["own"]) * 1e6, 1),
        "step_isolated_us": round(statistics.median(steps["isolated"]) * 1e6, 1),
        "quickest_in_the_worker_us": round(quickest(steps["own"]) * 1e6, 1),
        "quickest_isolated_us": round(quickest(steps["isolated"]) * 1e6, 1),
        "start_of_a_use_ms": round(statistics.median(starts) * 1e3, 2),
        "quickest_start_ms": round(quickest(starts) * 1e3, 2),
    }


def quickest(seconds: Sequence[float]) -> float:
    """The mean of the quickest tenth."""
    return statistics.mean(sorted(seconds)[: max(1, len(seconds) // 10)])


def resident() -> int | None:
    """MiB that belong to the plugin's idle server alone, where the system says so."""
    try:
        child = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()[0]
        text = Path(f"/proc/{child}/smaps_rollup").read_text(encoding="ascii")
    except (OSError, IndexError):
        return None
    lines = (line.split() for line in text.splitlines() if line.startswith(("Private_Clean", "Private_Dirty")))
    return sum(int(words[1]) for words in lines) // 1024


def main() -> int:
    """Measure, print, write."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="gesso-bench-") as scratch, torch.no_grad():
        shelf = Shelf(Path(scratch))
        code = SOURCE.encode()
        shelf.source("bench").write_bytes(code)
        began = time.perf_counter()
        place = environments.make("bench", (), shelf.folder, lambda _: None)
        environment = time.perf_counter() - began
        provides = {"samplers": ("ancestral",)}
        record = Record("bench", "file", True, "", hashlib.sha256(code).hexdigest(), "", provides=provides, environment=place.name)
        shelf.put(record)
        stranger = shelf.stranger(shelf.standing(record))
        assert stranger is not None
        own, far = Registry(Manifest("", "")), Registry(Manifest("", ""))
        assert not add_stranger(own, stranger).faults
        server = Server("bench", shelf.folder, place, 1)
        began = time.perf_counter()
        register(far, stranger, compile_operations(own), server)
        server.session().close()
        ready = time.perf_counter() - began
        figures = {name: measure(own.sampler("bench.ancestral"), far.sampler("bench.ancestral"), shape) for name, shape in SIZES.items()}
        memory = resident()
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count(), "torch": torch.__version__},
        "steps": STEPS,
        "runs": RUNS,
        "environment_made_s": round(environment, 2),
        "server_ready_s": round(ready, 2),
        "server_private_mib": memory,
        "latents": figures,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
