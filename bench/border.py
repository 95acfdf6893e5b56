"""How much of a model's shift of colour is left inside a mask: the membrane against Reinhard's global match of mean and spread, side by
side on a synthetic set with known offsets and slopes.

    python bench/border.py                writes bench/results/border.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "core"), str(ROOT / "plugins")]

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
from scipy import ndimage  # noqa: E402

from gesso_plugins.edit.border import Seam  # noqa: E402

RESULT = ROOT / "bench/results/border.json"
Pixels = npt.NDArray[np.float32]
SHIFTS = {
    "offset": (0.1, 0.0, 0.0),
    "slope": (0.0, 0.2, 0.0),
    "offset and slope": (0.1, 0.2, 0.0),
    "offset, slope and bend": (0.1, 0.15, 0.15),
}
"""The largest offset, slope and bend (over the picture, of values in 0..1) of each sort of shift."""


def scene(size: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A picture of waves and grain, and a mask of an oval that lies anywhere."""
    y, x = np.mgrid[:size, :size] / size
    planes = []
    for _ in range(3):
        waves = sum(0.08 * np.sin(2 * np.pi * (rng.uniform(-3, 3) * x + rng.uniform(-3, 3) * y) + rng.uniform(0, 6)) for _ in range(4))
        planes.append(0.5 + waves + rng.normal(0, 0.02, (size, size)))
    middle, axes = rng.uniform(0.35, 0.65, 2), rng.uniform(0.12, 0.3, 2)
    mask = ((x - middle[0]) / axes[0]) ** 2 + ((y - middle[1]) / axes[1]) ** 2 < 1
    return np.stack(planes, 2).astype(np.float32), mask.astype(np.float32)


def shift(size: int, rng: np.random.Generator, most: tuple[float, float, float]) -> Pixels:
    """What the model adds to every channel."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    offset, slope, bend = most
    planes = [
        rng.uniform(-offset, offset)
        + rng.uniform(-slope, slope) * x
        + rng.uniform(-slope, slope) * y
        + rng.uniform(-bend, bend) * x * y * 4
        for _ in range(3)
    ]
    return np.stack(planes, 2).astype(np.float32)


def reinhard(picture: Pixels, made: Pixels, mask: Pixels) -> Pixels:
    """Reinhard et al. 2001, on the pixels outside the mask."""
    known = mask <= 0
    a, b = made[known], picture[known]
    return ((made - a.mean(0)) / a.std(0) * b.std(0) + b.mean(0)).astype(np.float32)


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=12, help="of each sort of shift and size")
    scenes = parser.parse_args().scenes
    measured: dict[str, Any] = {}
    for name, most in SHIFTS.items():
        left: dict[str, list[float]] = {"before": [], "reinhard": [], "membrane": []}
        for seed in range(scenes):
            for size in (256, 768):
                rng = np.random.default_rng([seed, size])
                picture, mask = scene(size, rng)
                made = picture + shift(size, rng, most) + rng.normal(0, 0.01, picture.shape).astype(np.float32)
                mended = {
                    "before": made,
                    "reinhard": reinhard(picture, made, mask),
                    "membrane": made + Seam(picture, made, mask).membrane(),
                }
                inside = mask > 0
                for way, pixels in mended.items():
                    left[way].append(float(np.abs(ndimage.uniform_filter(pixels - picture, (17, 17, 1)))[inside].mean()))
        means = {way: statistics.mean(errors) for way, errors in left.items()}
        measured[name] = {**{way: round(mean, 5) for way, mean in means.items()}, "gain": round(means["reinhard"] / means["membrane"], 1)}
    every = {way: statistics.mean(entry[way] for entry in measured.values()) for way in ("reinhard", "membrane")}
    measured["all"] = {**{way: round(mean, 5) for way, mean in every.items()}, "gain": round(every["reinhard"] / every["membrane"], 1)}
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"machine": f"{platform.system().lower()}-{platform.machine()}"},
        "setting": f"{scenes} scenes each of 256 and 768 pixels, grain of 0.01; mean shift of colour (over 17 x 17) left in the mask",
        "target": "membrane at least 5 times less than Reinhard",
        "measured": measured,
    }
    RESULT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
