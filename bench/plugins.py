"""How long a single file takes from `gesso plugins add` until a running daemon has it: until the command has ended, and until `describe`
lists it. Processor seconds too, which a busy machine cannot falsify. Writes bench/results/plugins.json.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from gesso.client import Client

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/plugins.json"
RUNS = 15
GOAL = 1.0
"""Seconds until it is live, on a machine that does nothing else."""
SOURCE = '''
from gesso.plugin import sampler

@sampler("halfway", title="Halfway {number}", paper="none")
def halfway(x, sigmas):
    return (yield x, sigmas[0]).denoised
'''


def listed(client: Client, title: str) -> bool:
    """Whether the daemon knows a sampler of that title now."""
    return any(entry["title"] == title for entry in client.describe()["catalogues"]["samplers"])


def added(client: Client, file: Path, number: int) -> tuple[float, float, float]:
    """Seconds until the daemon lists it, seconds until the command ends, processor seconds of the command."""
    file.write_text(SOURCE.format(number=number), encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, ended = time.perf_counter(), []
    command = subprocess.Popen([sys.executable, "-m", "gesso", "plugins", "add", str(file)], stderr=subprocess.PIPE)
    waiting = threading.Thread(target=lambda: (command.communicate(), ended.append(time.perf_counter() - began)))
    waiting.start()
    while not listed(client, f"Halfway {number}"):
        if time.perf_counter() - began > 60:
            raise SystemExit("the daemon never listed it")
        time.sleep(0.01)
    live = time.perf_counter() - began
    waiting.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return live, ended[0], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as home:
        os.environ["GESSO_HOME"] = home
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        with Client() as client:
            runs = [added(client, Path(home, "halfway.py"), number) for number in range(RUNS + 1)][1:]  # the first compiles bytecode
            client.stop()
    live, ended, spent = ([run[part] for run in runs] for part in range(3))
    figures = {
        "live_s": {"median": round(statistics.median(live), 3), "quickest": round(min(live), 3)},
        "command_s": {"median": round(statistics.median(ended), 3), "quickest": round(min(ended), 3)},
        "processor_s": {"median": round(statistics.median(spent), 3)},
        "goal_s": GOAL,
    }
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()},
        "runs": RUNS,
        "load": round(os.getloadavg()[0], 1),
        "add": figures,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
