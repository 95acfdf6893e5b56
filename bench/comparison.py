"""Four roads from words to pictures on the same work: starter, DALL-E, unCLIP and VAE-GAN, the weights that ship, measured alike.

    python bench/comparison.py --count 120

The figures are those of `gesso evaluate` over renders of the twelve materials (`gesso.training.materials`), computed here in one process on
one thread, with the captions, seeds and renders that it takes; each model with its own defaults. Models that make 64 pixels are compared
with renders of 64, the starter with renders of 128; the judge sees all at 128. Seconds are processor time a picture, made alone, at level
`exact`. Writes bench/results/comparison.json, docs/pictures/comparison.webp (renders above, then a row for each model) and, of those whose
run lies in --runs, the curve of its training.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from gesso import fidelity
from gesso.manifest import first_party
from gesso.plugin import Registry, build_plugins
from gesso.testing import Studio
from gesso.training.chart import save_chart
from gesso.training.materials import MATERIALS
from gesso.training.sheet import save_sheet
from gesso_plugins.evaluation.data import Data, from_source
from gesso_plugins.evaluation.report import distances, judged, seam_error

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PICTURES = ROOT / "bench" / "results" / "comparison.json", ROOT / "docs" / "pictures"
SEED, COLUMNS = 1, len(MATERIALS)
NAMES = ("Frechet distance over CLIP features", "kernel distance over CLIP features")
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Entrant:
    """One model. side: pixels of what it makes. curve: the record of its training among runs, the stage of it that is drawn, and what that
    shows.
    """

    name: str
    side: int = 64
    curve: tuple[str, str, str] | None = None


ENTRANTS = (
    Entrant("starter", 128),
    Entrant("unclip", 64, ("unclip/decoder/loss.csv", "decoder", "weighed squared error of the picture, and of the place")),
    Entrant("vaegan", 64, ("vaegan/loss.csv", "vaegan", "loss of the makers")),
    Entrant("dalle", 64, ("dalle/loss.csv", "transformer", "nats a token, words and picture")),
)


def made(studio: Studio, entrant: Entrant, captions: Sequence[str]) -> tuple[list[Picture], float]:
    """A picture for each caption, and the processor seconds of one. The first, which loads the model, is made twice and timed once."""
    asked = {"model": entrant.name, "width": entrant.side, "height": entrant.side, "tile": "xy"}
    studio.make("generate", {**asked, "prompt": captions[0], "seed": SEED})
    began = time.process_time()
    pictures = [
        studio.make("generate", {**asked, "prompt": words, "seed": SEED + place}).outputs[0].pixels for place, words in enumerate(captions)
    ]
    return pictures, (time.process_time() - began) / len(captions)


class Looker:
    """The CLIP and the judge that ship."""

    def __init__(self, registry: Registry) -> None:
        entry = registry.model("clip")
        family = registry.family(entry.family)
        self.clip: Any = family.load(family.inspect(entry), torch.device("cpu"))
        judge = registry.judge_of("procedural")
        assert judge is not None
        self.judge = judge

    @torch.no_grad()
    def figures(self, pictures: Sequence[Picture], data: Data) -> dict[str, float]:
        """Everything that `gesso evaluate` tells, by its keys."""
        features, real = (self.clip.embed_images(list(each)).numpy() for each in (pictures, data.pictures))
        words = self.clip.embed_texts(list(data.captions)).numpy()
        found = [
            *distances("clip", "CLIP", (features, real), NAMES),
            *judged(self.judge, pictures, data.pictures, data.labels),
            *seam_error(pictures, data.pictures, "xy"),
        ]
        told = {figure.key: figure.made for figure in found}
        told |= {f"{figure.key} of the data": figure.data for figure in found if figure.data is not None}
        told |= {"clip_score": fidelity.agreement(features, words), "clip_score of the data": fidelity.agreement(real, words)}
        return {name: round(float(value), 4) for name, value in told.items()}


def record_of(path: Path) -> dict[str, Any]:
    """How long it was trained."""
    if path.is_dir():
        record = json.loads((path / "training.json").read_text())
    else:
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            record = json.loads(file.metadata()["record"])
    return {name: record[name] for name in ("step", "stages", "samples", "cpu_hours") if name in record}


def row(pictures: Sequence[Picture]) -> Picture:
    """The first of each material, at 64 pixels."""
    return np.stack([np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BOX)) for picture in pictures[:COLUMNS]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the runs of trainings lie (default: %(default)s)")
    parser.add_argument("--count", type=int, default=60, help="pictures of each model (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    registry = build_plugins(first_party())
    source, looker = registry.dataset("procedural"), Looker(registry)
    data = {side: from_source(source, MATERIALS, side, options.count) for side in (64, 128)}
    report: dict[str, Any] = {"materials": MATERIALS, "pictures": options.count, "models": {}}
    rows = [row(data[64].pictures)]
    for entrant in ENTRANTS:
        studio = Studio(registry)
        own = data[entrant.side]
        pictures, seconds = made(studio, entrant, own.captions)
        studio.close()
        figures = looker.figures(pictures, own) | {"processor seconds a picture": round(seconds, 3)}
        path = registry.model(entrant.name).path
        assert path is not None
        report["models"][entrant.name] = {"side": entrant.side, "trained": record_of(path), "figures": figures}
        print(entrant.name, json.dumps(figures), flush=True)
        rows.append(row(pictures))
        if entrant.curve is not None and (options.runs / entrant.curve[0]).exists():
            save_chart(options.runs / entrant.curve[0], PICTURES / f"comparison-{entrant.name}.webp", entrant.curve[1], entrant.curve[2])
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    titles = [name.replace("_", " ") for name in MATERIALS] * len(rows)
    save_sheet(PICTURES / "comparison.webp", np.concatenate(rows), titles, COLUMNS)
    print(f"{len(rows) - 1} models, {options.count} pictures each; {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
