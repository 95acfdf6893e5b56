"""What best of 16 gains and what pruning saves, on the fixed prompts of the starter, scored by the small CLIP. Each prompt is run twice
in this process: all 16 to their end, and with pruning. Prompts that were done stand in the file of --keep, so that a run goes on.

    python bench/best_of_n.py                        200 prompts; writes bench/results/best_of_n.json
    python bench/best_of_n.py --part 1/2             every second of them, beside another process that runs the rest for the same file
    python bench/best_of_n.py --prompts 24 --draft 0 --prune 0.4 0.6

Pictures are made at the level `fast`, where the 16 share their forwards. What judging costs is measured at `exact`, at the size and number
of steps that the starter has by itself.

What is compared: the mean over prompts of the score of the one picture that is kept, and that of the best of all 16 run to their end; the
mean of a single picture says how much there was to gain. What was run whole once is not run again for another way of giving up.

The score that chooses is the score that is compared: that the best of 16 is above the mean is certain, and only its size is news. A judge
of its own would have to be a second CLIP (`gesso train clip --seed 2`), named with --judge.
"""

from __future__ import annotations

import argparse
import json
import math
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

import torch  # noqa: E402
from scipy.stats import ttest_rel  # noqa: E402

from gesso.engine import Embed, ModelRef, Progress  # noqa: E402
from gesso.engine.forward import Forward  # noqa: E402
from gesso.model import Autoencoder  # noqa: E402
from gesso.testing import Studio  # noqa: E402

PROMPTS = ROOT / "plugins/gesso_plugins/starter/evaluation/prompts.json"
RESULT = ROOT / "bench/results/best_of_n.json"
MADE = 16
USUAL = {"width": 128, "height": 128, "steps": 20, "draft": 8}
"""How the starter draws where nothing else is asked for, with drafts of 40 % of the steps."""


def evaluations(events: list[Any]) -> int:
    """Evaluations of the denoiser in a job: the last step of each picture that ran."""
    steps: dict[int, int] = {}
    for event in events:
        if isinstance(event, Progress):
            steps[event.image] = max(steps.get(event.image, 0), event.step)
    return sum(steps.values())


def judged(studio: Studio, judge: str, pixels: list[Any], words: str) -> list[float]:
    """Cosines by another model."""
    card = studio.catalogue.card(judge)

    def ask() -> Any:
        return (yield Embed(ModelRef(card.name, card.digest), tuple(pixels), (words,)))

    seen, read = studio.run(ask())
    cosines: list[float] = (seen @ read[0]).tolist()
    return cosines


def asked(prompt: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What both runs have in common."""
    return {
        "prompt": prompt["text"], "seed": prompt["seed"], "model": "starter", "width": options.size, "height": options.size, "tile": "xy",
        "steps": options.steps, "best_of": MADE, "score": {"clip": 1},
    }  # fmt: skip


def one(studio: Studio, prompt: dict[str, Any], known: dict[str, Any] | None, options: argparse.Namespace) -> dict[str, Any]:
    """Both runs of one prompt; what is ``known`` of the whole one is taken over."""
    params = asked(prompt, options)
    cut = studio.make("generate", {**params, "keep": 1, "prune": options.prune, "draft": options.draft or None})
    (kept,) = cut.outputs
    found = {"pruned": kept.score, "pruned_evaluations": evaluations(cut.events)}
    if known is not None and not options.judge:
        return {**known, **found}
    full = studio.make("generate", {**params, "keep": MADE})
    scores = {output.seed: output.score for output in full.outputs}
    assert math.isclose(scores[kept.seed], kept.score, abs_tol=2e-3), "a picture that was kept is the one that it would be alone"
    found |= {
        "text": prompt["text"],
        "mean": statistics.fmean(scores.values()),
        "best": max(scores.values()),
        "evaluations": evaluations(full.events),
    }
    if options.judge:
        others = judged(studio, options.judge.name, [output.pixels for output in full.outputs], prompt["text"])
        found |= {"judged_mean": statistics.fmean(others), "judged_best": others[0]}
    return found


def overhead(prompt: dict[str, Any], options: argparse.Namespace) -> float:
    """The processor time that judging takes (decoding and scoring what is given up or goes on), as a share of the whole run."""
    studio = Studio()
    spent: dict[str, float] = {}
    run = Forward.run

    def timed(forward: Forward, calls: Any, *more: Any) -> Any:
        began = time.process_time()
        replies = run(forward, calls, *more)
        through = any(isinstance(patch, Autoencoder) for patch in getattr(calls[0], "patches", ()))
        kind = "drafts" if through else type(calls[0]).__name__
        spent[kind] = spent.get(kind, 0.0) + time.process_time() - began
        counts[kind] = counts.get(kind, 0) + len(calls)
        return replies

    Forward.run = timed  # type: ignore[method-assign]
    try:
        for _ in range(2):  # the first loads what it needs
            spent, counts = {}, {}
            began = time.process_time()
            studio.make("generate", asked(prompt, options) | {"keep": 1, **USUAL})
            whole = time.process_time() - began
    finally:
        Forward.run = run  # type: ignore[method-assign]
        studio.close()
    looking = spent["drafts"] if "drafts" in spent else spent["Decode"] * (1 - 1 / counts["Decode"])
    return (looking + spent["Embed"] * (1 - 1 / counts["Embed"])) / whole  # the picture that is kept is decoded and scored in any case


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares and p-values over prompts."""
    column = {name: [row[name] for row in rows] for name in rows[0] if name != "text"}
    mean = {name: statistics.fmean(values) for name, values in column.items()}
    found = {
        "prompts": len(rows),
        "mean_score_of_a_single_picture": round(mean["mean"], 4),
        "mean_score_of_the_best_of_16": round(mean["best"], 4),
        "mean_score_with_pruning": round(mean["pruned"], 4),
        "pruning_share_of_the_full_score": round(mean["pruned"] / mean["best"], 4),
        "pruning_share_of_the_evaluations": round(mean["pruned_evaluations"] / mean["evaluations"], 4),
        "p_best_above_mean": float(ttest_rel(column["best"], column["mean"], alternative="greater").pvalue),
        "p_pruned_above_mean": float(ttest_rel(column["pruned"], column["mean"], alternative="greater").pvalue),
    }
    if "judged_best" in column:
        found["judged_mean_of_a_single_picture"] = round(mean["judged_mean"], 4)
        found["judged_mean_of_the_best_of_16"] = round(mean["judged_best"], 4)
        found["p_judged_best_above_mean"] = float(ttest_rel(column["judged_best"], column["judged_mean"], alternative="greater").pvalue)
    return found


def main() -> int:
    """Run what is not done yet; write the summary of all that is."""
    parser = argparse.ArgumentParser(description="Measure best of 16, whole and pruned.")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--prune", type=float, nargs="*", default=[])
    parser.add_argument("--draft", type=int, default=4, help="steps of a draft; 0 for none")
    parser.add_argument("--part", default="0/1", help="which prompts to run, as NUMBER/PARTS; the summary is of all that are done")
    parser.add_argument("--judge", type=Path, default=None, help="a CLIP directory that scores beside the one that chooses")
    parser.add_argument("--minutes", type=float, default=None, help="begin no prompt after so many minutes; the summary is of what is done")
    parser.add_argument("--keep", type=Path, default=ROOT / "runs/best_of_n.jsonl", help="lines of prompts that are done")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    options.keep.parent.mkdir(parents=True, exist_ok=True)
    setting = {"size": options.size, "steps": options.steps, "prune": options.prune, "draft": options.draft, "judge": bool(options.judge)}
    lines = options.keep.read_text(encoding="utf-8").splitlines() if options.keep.exists() else []
    before = [json.loads(line) for line in lines]
    rows = [row["row"] for row in before if row["setting"] == setting]
    done = {row["text"] for row in rows}
    same = [row["row"] for row in before if all(row["setting"][name] == setting[name] for name in ("size", "steps"))]
    whole = {row["text"]: row for row in same}
    studio = Studio(level="fast")
    if options.judge:
        studio.add(options.judge.name, options.judge, "clip")
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))
    spread = prompts[:: max(1, len(prompts) // options.prompts)][: options.prompts]
    until = time.monotonic() + 60 * (options.minutes or 1e6)
    number, parts = map(int, options.part.split("/"))
    for prompt in spread[number::parts]:
        if prompt["text"] not in done and time.monotonic() < until:
            rows.append(one(studio, prompt, whole.get(prompt["text"]), options))
            with options.keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"setting": setting, "row": rows[-1]}) + "\n")
            print(f"{len(rows)} of {len(spread)}: {rows[-1]}", flush=True)
    studio.close()
    judging = overhead(spread[0], options)
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count()},
        "setting": {"model": "starter", "made": MADE, "keep": 1, **setting, "judging": USUAL},
        "results": {**summary(rows), "judging_share_of_processor_time": round(judging, 4)},
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(document["results"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
