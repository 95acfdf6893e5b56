"""How long a single file takes from `gesso plugins add` until a running daemon has it: until the command has ended, and until `describe`
lists it; beside it, run by run, what a program that takes plugins in at its start needs instead (stop, start, list), and an empty
interpreter twice, which is what two processes cost at least. Processor seconds too, which a busy machine cannot falsify. Writes
bench/results/plugins.json.
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


def restarted(client: Client, title: str) -> tuple[Client, float]:
    """Seconds until a daemon that is stopped and started again lists it, without a worker having started."""
    began = time.perf_counter()
    client.stop()
    client.close()
    again = Client()
    if not listed(again, title):
        raise SystemExit("the new daemon does not list it")
    return again, time.perf_counter() - began


def empty() -> tuple[float, float]:
    """Seconds and processor seconds of two empty interpreters, one after the other."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", "pass"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(client: Client, file: Path) -> tuple[Client, list[tuple[float, float, float, float, float, float]]]:
    """For each run: live, command and processor seconds, seconds of a restart, seconds and processor seconds of empty interpreters."""
    added(client, file, -1)  # compiles bytecode
    runs = []
    for number in range(RUNS):
        run = added(client, file, number)
        client, restart = restarted(client, f"Halfway {number}")
        runs.append((*run, restart, *empty()))
    return client, runs


def main() -> int:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory(prefix="gesso-", dir="/tmp") as home:
        os.environ["GESSO_HOME"] = home
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        client, runs = measured(Client(), Path(home, "halfway.py"))
        client.stop()
        client.close()
    live, ended, spent, restart, bare, bare_spent = ([run[part] for run in runs] for part in range(6))
    figures = {
        "live_s": {"median": round(statistics.median(live), 3), "quickest": round(min(live), 3)},
        "command_s": {"median": round(statistics.median(ended), 3), "quickest": round(min(ended), 3)},
        "processor_s": {"median": round(statistics.median(spent), 3)},
        "restart_s": {"median": round(statistics.median(restart), 3), "quickest": round(min(restart), 3)},
        "live_over_restart": round(statistics.median(a / b for a, b in zip(live, restart, strict=True)), 2),
        "live_over_two_empty_interpreters": round(statistics.median(a / b for a, b in zip(live, bare, strict=True)), 1),
        "processor_over_two_empty_interpreters": round(statistics.median(a / b for a, b in zip(spent, bare_spent, strict=True)), 1),
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
