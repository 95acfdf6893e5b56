"""Runs what takes too long for every change, and writes the figures with their date to bench/results/nightly.json. It judges no figure."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/nightly.json"
LONGER = {
    "GESSO_TEST_KILLS": "500",
    "GESSO_TEST_MESSAGES": "1000000",
    "GESSO_TEST_STREAMS": "100000",
    "GESSO_TEST_RACES": "200",
    "GESSO_TEST_SOAK": "3600",
}
"""How often, and for how many seconds, where CI does less."""
NO_TESTS = 5
"""pytest's exit code where nothing was selected, as for the tests that need a GPU."""


@dataclass(frozen=True)
class Figure:
    """One command: how long it took, how it ended, and the last line it said."""

    command: str
    minutes: float
    code: int
    last: str


def commands() -> list[list[str]]:
    """The slow tests, then every benchmark there is."""
    slow = ["-m", "pytest", "-q", "-n", "0", "-m", "slow or reliability or families or examples", "--timeout", "3600"]
    benchmarks = [[str(path.relative_to(ROOT))] for path in sorted((ROOT / "bench").glob("*.py"))]
    return [slow, *benchmarks]


def run(words: list[str]) -> Figure:
    """Run one command with this Python, its output passed through."""
    print(f"=== {' '.join(words)}", flush=True)
    began = time.monotonic()
    environment = {**LONGER, **os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("core", "plugins"))}
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    last = ""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    code = process.wait()
    return Figure(" ".join(words), round((time.monotonic() - began) / 60, 2), 0 if code == NO_TESTS else code, last)


def main() -> int:
    """Run everything, even after a failure; 1 if anything failed."""
    figures = [run(words) for words in commands()]
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {
            "python": platform.python_version(),
            "system": platform.system(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        },
        "figures": [asdict(figure) for figure in figures],
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print()
    for figure in figures:
        print(f"{figure.minutes:8.2f} min  {'ok' if figure.code == 0 else f'failed ({figure.code})':12} {figure.command}: {figure.last}")
    return 1 if any(figure.code for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
