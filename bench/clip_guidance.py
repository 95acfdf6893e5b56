"""What CLIP guidance gains at equal steps, on the fixed prompts of the starter: scored by the CLIP that guides, which must rise, and by a
second one that guidance never saw, which is the news. Pictures that were made stand in the folder of --keep, so that a run goes on.

    gesso train clip --seed 2 --second --out runs/clip-second
    python bench/clip_guidance.py --judge runs/clip-second/export
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "core"), str(ROOT / "plugins")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from PIL.PngImagePlugin import PngInfo  # noqa: E402
from scipy.stats import ttest_rel  # noqa: E402

from gesso.engine import Embed, ModelRef  # noqa: E402
from gesso.testing import Studio  # noqa: E402

PROMPTS = ROOT / "plugins/gesso_plugins/starter/evaluation/prompts.json"
JUDGE = "second"
RESULT = ROOT / "bench/results/clip_guidance.json"


def cosine(studio: Studio, judge: str, pixels: Any, words: str) -> float:
    """What a model says of one picture."""
    card = studio.catalogue.card(judge)

    def ask() -> Any:
        return (yield Embed(ModelRef(card.name, card.digest), (pixels,), (words,)))

    seen, read = studio.run(ask())
    return float(seen[0] @ read[0])


def make(studio: Studio, prompt: dict[str, Any], scale: float, options: argparse.Namespace) -> Path:
    """One picture, from its file if it was made; its processor time stands in it."""
    setting = f"{options.steps}-{options.limit:g}-{scale:g}"
    file = Path(options.keep) / setting / f"{prompt['seed']}.png"
    if not file.exists():
        asked = {
            "prompt": prompt["text"], "seed": prompt["seed"], "model": "starter", "width": 128, "height": 128, "tile": "xy",
            "steps": options.steps, "guidance_extra": {"clip": {"scale": scale, "limit": options.limit}},
        }  # fmt: skip
        started = time.process_time()
        pixels = studio.make("generate", asked).outputs[0].pixels
        known = PngInfo()
        known.add_text("seconds", str(time.process_time() - started))
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file.with_suffix(".tmp"), "PNG", pnginfo=known)
        file.with_suffix(".tmp").replace(file)
    return file


def judged(studio: Studio, prompt: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What both models say of each picture of a prompt."""
    row: dict[str, Any] = {}
    for scale in (0.0, *options.scales):
        with Image.open(make(studio, prompt, scale, options)) as picture:
            pixels, seconds = np.asarray(picture), float(picture.info["seconds"])
        own, second = (cosine(studio, judge, pixels, prompt["text"]) for judge in ("clip", JUDGE))
        row[f"{scale:g}"] = {"own": own, "second": second, "seconds": seconds}
    return row


def summary(rows: list[dict[str, Any]], scales: list[float]) -> dict[str, Any]:
    """Means over prompts, and whether the second score is higher than without guidance by more than chance."""
    found: dict[str, Any] = {"prompts": len(rows)}
    plain = [row["0"]["second"] for row in rows]
    seconds = statistics.median(row["0"]["seconds"] for row in rows)
    for scale in ("0", *(f"{scale:g}" for scale in scales)):
        second = [row[scale]["second"] for row in rows]
        found[f"scale {scale}"] = {
            "score_by_the_guiding_clip": round(statistics.fmean(row[scale]["own"] for row in rows), 4),
            "score_by_the_second_clip": round(statistics.fmean(second), 4),
            "share_of_prompts_that_the_second_finds_better": round(statistics.fmean(a > b for a, b in zip(second, plain, strict=True)), 3),
            "p_second_above_unguided": float(ttest_rel(second, plain, alternative="greater").pvalue) if scale != "0" else None,
            "processor_time_to_unguided": round(statistics.median(row[scale]["seconds"] for row in rows) / seconds, 3),
        }
    return found


def main() -> int:
    """Run what is not done yet; write the summary of all that is."""
    parser = argparse.ArgumentParser(description="Measure CLIP guidance with a scorer of its own.")
    parser.add_argument("--judge", type=Path, help="the directory of the second CLIP; without one, pictures are made and not judged")
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--scales", type=float, nargs="+", default=[30.0, 100.0])
    parser.add_argument("--limit", type=float, default=0.3)
    parser.add_argument("--keep", type=Path, default=ROOT / "runs/clip_guidance", help="folder of pictures that are made")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    studio = Studio()
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))
    spread = prompts[:: max(1, len(prompts) // options.prompts)][: options.prompts]
    for prompt in spread:
        made = [make(studio, prompt, scale, options) for scale in (0.0, *options.scales)]
        print(*made, flush=True)
    if options.judge is None:
        return 0
    studio.add(JUDGE, options.judge, "clip")
    rows = [judged(studio, prompt, options) for prompt in spread]
    studio.close()
    setting = {"steps": options.steps, "scales": options.scales, "limit": options.limit}
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count()},
        "setting": {"model": "starter, 128 x 128", "sampler": "dpmpp_2m", "guidance": 3.0, **setting},
        "results": summary(rows, options.scales),
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(document["results"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
