"""What an edit costs beside the model: a selection of 600 x 600 on a canvas of 4096 x 4096, from decoded pixels to the PNG of the region.

    python bench/edit.py                  writes bench/results/edit.json

Times are processor time of this process, one thread, the median of several runs, so that other programs count little. Reading the files
is measured beside it and not part of the sum: a host that sends planes has none of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "core"), str(ROOT / "plugins")]

import numpy as np  # noqa: E402
from scipy import ndimage  # noqa: E402

from gesso.media import documents, png  # noqa: E402
from gesso.media.documents import Document  # noqa: E402
from gesso.media.profile import SRGB  # noqa: E402
from gesso.model.card import Defaults, Limits, ModelCard  # noqa: E402
from gesso_plugins.edit.params import EditParams  # noqa: E402
from gesso_plugins.edit.region import finish, halfway, planned  # noqa: E402

RESULT = ROOT / "bench/results/edit.json"
CANVAS, SELECTION, TARGET_MS = 4096, 600, 150.0


def model(side: int) -> ModelCard:
    """A model that likes pictures of this side."""
    return ModelCard("m", "f", "d", "M", None, frozenset(), Defaults(width=side, height=side), Limits(64, 2048, 8))


def timed(spent: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Run a stage and add its time, in ms."""
    start = time.process_time()
    made = work()
    spent[name] = spent.get(name, 0.0) + 1e3 * (time.process_time() - start)
    return made


def once(picture: Document, mask: Document, params: EditParams, card: ModelCard) -> dict[str, float]:
    """One edit; the model gives its picture back a little darker."""
    spent: dict[str, float] = {}
    region = timed(spent, "plan and cut", lambda: planned(picture, mask, params, card))
    sizes = [region.geometry.first, region.geometry.working] if region.geometry.two_passes else [region.geometry.working]
    seen = None
    for size in sizes:
        shown = timed(spent, "scale", lambda size=size, seen=seen: region.shown(size, seen))
        made = (np.clip(shown.picture * 0.9 + 0.03, 0, 1) * 65535).astype(np.uint16)
        if size != sizes[-1]:
            seen = timed(spent, "mend and composite", lambda shown=shown, made=made: halfway(region, shown, made, params))
        else:
            done = timed(spent, "mend and composite", lambda made=made: finish(region, made, params))
    timed(spent, "encode", lambda: png.write(done.pixels, {}))
    return spent


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(0)
    canvas = ndimage.zoom(rng.random((64, 64, 3)), (CANVAS // 64, CANVAS // 64, 1), order=1) + rng.normal(0, 0.02, (CANVAS, CANVAS, 3))
    picture = Document(np.clip(canvas * 255, 0, 255).astype(np.uint8), SRGB, "png")
    plane = np.zeros((CANVAS, CANVAS, 1), np.uint8)
    plane[1500 : 1500 + SELECTION, 1700 : 1700 + SELECTION] = 255
    mask = Document(plane, SRGB, "png")
    params = EditParams.model_validate({"image": {"sha256": "0" * 64}, "returns": "region"})
    measured: dict[str, Any] = {}
    for name, side in (("one pass (a model for 1024)", 1024), ("two passes (a model for 512)", 512)):
        found = [once(picture, mask, params, model(side)) for _ in range(runs)]
        stages = {stage: statistics.median(run[stage] for run in found) for stage in found[0]}
        total = statistics.median(sum(run.values()) for run in found)
        shares = {stage: {"ms": round(spent, 1), "share": round(spent / total, 3)} for stage, spent in stages.items()}
        measured[name] = {"total_ms": round(total, 1), "stages": shares}
    reading: dict[str, float] = {}
    files = [documents.write(picture), documents.write(mask)]
    for file in files:
        timed(reading, "read", lambda file=file: documents.read(file))
    measured["reading the files"] = {"total_ms": round(reading["read"], 1)}
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "machine": f"{platform.system().lower()}-{platform.machine()}",
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
        },
        "python": platform.python_version(),
        "setting": f"{SELECTION} x {SELECTION} on {CANVAS} x {CANVAS}, RGB, 8 bits; processor time, median of {runs}",
        "target_ms": TARGET_MS,
        "measured": measured,
    }
    RESULT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
