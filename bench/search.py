"""What `gesso search` takes over 100 000 pictures, beside the worker's look at the words: asking the journal what is new, opening the
index, comparing. All parts in one process, medians; the processor's time beside the clock's, since the machine may do other things.

    python bench/search.py            writes bench/results/search.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "core"), str(ROOT / "plugins")]

import numpy as np  # noqa: E402

from gesso.daemon import history, journal, rows  # noqa: E402
from gesso.searching import Index, Picture  # noqa: E402

RESULT = ROOT / "bench/results/search.json"
REPEATS = 15


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Medians in milliseconds."""
    clock, processor = [], []
    for _ in range(REPEATS):
        began, spent = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - spent)
    return {"ms": round(1e3 * statistics.median(clock), 2), "processor_ms": round(1e3 * statistics.median(processor), 2)}


def filled(path: Path, count: int) -> Any:
    """A journal with so many jobs that are done."""
    db, _ = journal.open_database(path)
    result = {"images": [{"index": 0, "role": "image", "media_type": "image/png", "ending": "png", "sha256": "a" * 64, "seed": 1}]}
    request = json.dumps({"operation": "generate", "params": {"prompt": "rusty metal"}})
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO jobs (id, principal, client, client_key, request, request_sha, priority, state, result, created, updated) "
        "VALUES (?, 'me', 'c', ?, ?, 's', 'batch', 'done', ?, ?, ?)",
        ((f"{i:032x}", str(i), request, json.dumps(result), float(i), float(i)) for i in range(count)),
    )
    db.execute("COMMIT")
    rows.look(db)
    return db


def main() -> int:
    """Build both, measure, write."""
    parser = argparse.ArgumentParser(description="Measure the search in the history.")
    parser.add_argument("--pictures", type=int, default=100_000)
    options = parser.parse_args()
    count, found = options.pictures, {}
    with tempfile.TemporaryDirectory() as folder:
        db = filled(Path(folder) / "journal.sqlite", count)
        mark = f"{float(count - 1)!r}/{count - 1:032x}"
        found["what is new in the journal"] = measured(lambda: history.page(db, None, mark, False))
        for width in (128, 512, 768):
            vectors = np.random.default_rng(0).standard_normal((count, width), dtype=np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            pictures = [Picture(f"{i:032x}", 0, "a" * 64, "png", "rusty metal") for i in range(count)]
            place = Path(folder) / str(width)
            Index(place).write("m", mark, {each.job for each in pictures}, pictures, vectors.astype(np.float16))
            asked = vectors[77]
            Index(place).search(asked, 10)  # loads usearch
            found[f"{width} numbers: open and search"] = measured(lambda place=place, asked=asked: Index(place).search(asked, 10))
            plain = measured(lambda vectors=vectors, asked=asked: np.argpartition(vectors @ asked, -10)[-10:])
            found[f"{width} numbers: numpy on float32 in memory, for comparison"] = plain
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "setting": {"pictures": count, "repeats": REPEATS, "threads": 1},
        "results": found,
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
