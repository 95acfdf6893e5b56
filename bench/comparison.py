"""Four roads from words to pictures on the same work: starter, DALL-E, unCLIP and VAE-GAN, measured alike.

    python bench/comparison.py --dalle runs/dalle/dalle.safetensors --unclip runs/unclip/unclip --vaegan runs/vaegan/vaegan.safetensors

The figures are those of `gesso evaluate` over renders of the twelve materials (`gesso.training.materials`), computed here in one process on
one thread, with the captions, seeds and renders that it takes. Models that made nothing but 64 pixels are compared with renders of 64, the
starter with renders of 128; the judge sees all at 128. Seconds are processor time a picture, made alone, at level `exact`.
DALL-E draws among the likelier tokens (LIKELY). Writes bench/results/comparison.json, docs/pictures/comparison.webp (renders above, then a
row for each model) and a curve for each family.
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
from gesso.manifest import ModelEntry, first_party
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
LIKELY = {"temperature": 0.8, "top_p": 0.9}
NAMES = ("Frechet distance over CLIP features", "kernel distance over CLIP features")
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Entrant:
    """One model. side: pixels of what it makes. curve: the record of its training, the stage of it that is drawn, and what that shows."""

    name: str
    family: str
    path: Path
    side: int = 64
    curve: tuple[Path, str, str] | None = None


def entrants(options: argparse.Namespace) -> list[Entrant]:
    dalle, unclip, vaegan = options.dalle, options.unclip, options.vaegan
    found = [Entrant("starter", "stable-diffusion", next(e.path for e in first_party().models if e.name == "starter"), 128)]
    if unclip is not None:
        found.append(
            Entrant("unclip", "unclip", unclip, 64, (unclip.parent / "decoder" / "loss.csv", "decoder", "squared error of the noise"))
        )
    if vaegan is not None:
        found.append(Entrant("vaegan", "vaegan", vaegan, 64, (vaegan.parent / "loss.csv", "vaegan", "loss of the makers")))
    if dalle is not None:
        found.append(Entrant("dalle", "dalle", dalle, 64, (dalle.parent / "loss.csv", "transformer", "nats a token, words and picture")))
    return found


def made(studio: Studio, entrant: Entrant, captions: Sequence[str]) -> tuple[list[Picture], float]:
    """A picture for each caption, and the processor seconds of one. The first, which loads the model, is made twice and timed once."""
    asked = {"model": entrant.name, "width": entrant.side, "height": entrant.side, "tile": "xy"}
    asked |= LIKELY if entrant.family == "dalle" else {}
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


def record_of(entrant: Entrant) -> dict[str, Any]:
    """How long it was trained."""
    if entrant.path.is_dir():
        record = json.loads((entrant.path / "training.json").read_text())
    else:
        from safetensors import safe_open

        with safe_open(entrant.path, framework="numpy") as file:
            record = json.loads(file.metadata()["record"])
    return {name: record[name] for name in ("step", "stages", "samples", "cpu_hours") if name in record}


def row(pictures: Sequence[Picture]) -> Picture:
    """The first of each material, at 64 pixels."""
    return np.stack([np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BOX)) for picture in pictures[:COLUMNS]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dalle", "unclip", "vaegan"):
        parser.add_argument(f"--{name}", type=Path, help="what its training wrote")
    parser.add_argument("--count", type=int, default=60, help="pictures of each model (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    registry = build_plugins(first_party())
    source, looker = registry.dataset("procedural"), Looker(registry)
    data = {side: from_source(source, MATERIALS, side, options.count) for side in (64, 128)}
    report: dict[str, Any] = {"materials": MATERIALS, "pictures": options.count, "models": {}}
    rows = [row(data[64].pictures)]
    for entrant in entrants(options):
        if entrant.family != "stable-diffusion":
            registry.models = (*registry.models, ModelEntry(entrant.name, entrant.family, entrant.name, entrant.path, ()))
        studio = Studio(registry)
        own = data[entrant.side]
        pictures, seconds = made(studio, entrant, own.captions)
        studio.close()
        figures = looker.figures(pictures, own) | {"processor seconds a picture": round(seconds, 3)}
        report["models"][entrant.name] = {"side": entrant.side, "trained": record_of(entrant), "figures": figures}
        print(entrant.name, json.dumps(figures), flush=True)
        rows.append(row(pictures))
        if entrant.curve is not None:
            save_chart(entrant.curve[0], PICTURES / f"comparison-{entrant.name}.webp", entrant.curve[1], entrant.curve[2])
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    titles = [name.replace("_", " ") for name in MATERIALS] * len(rows)
    save_sheet(PICTURES / "comparison.webp", np.concatenate(rows), titles, COLUMNS)
    print(f"{len(rows) - 1} models, {options.count} pictures each; {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
