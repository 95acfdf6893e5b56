"""What learning gives: twelve renders of a material that the starter cannot make, a LoRA, and the starter's pictures before and after.

    python bench/learning.py [--work FOLDER] [--sheet docs/pictures/learning.webp]

Two judges that know nothing of each other: the tiny CLIP, which names the nearest of all 82 materials, and the look (Gram matrices of the
style network's encoder), as a distance from twelve other renders. Neither was trained for this, the CLIP on renders of the same source.
A LoRA that lies in the folder already is not learned again. Results: bench/results/learning.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from gesso.manifest import ModelEntry, first_party
from gesso.model.features import gram
from gesso.plugin import Registry, build_plugins
from gesso.testing import Studio
from gesso.training.sheet import save_sheet
from gesso_plugins.learning.command import run as finetune

RESULTS = Path(__file__).parent / "results" / "learning.json"
MATERIAL, SIZE, SHOWN, COUNT = "tiger", 128, 12, 8
LEARNED, UNSEEN, PICTURES = 500, 900, 70_000
"""First seeds: of the renders that are learned from, of those that are compared with, and of what the starter makes."""

Pixels = npt.NDArray[np.uint8]


def renders(registry: Registry, first: int) -> Pixels:
    source: Any = registry.dataset("procedural")
    return np.stack([source.picture(MATERIAL, SIZE, first + place) for place in range(SHOWN)])


def learned(work: Path, pictures: Pixels) -> Path:
    """The LoRA, as the command makes it."""
    folder, out = work / MATERIAL, work / f"{MATERIAL}.safetensors"
    if not out.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for place, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{place:02d}.png")
        recipe = ["--prompt", MATERIAL, "--tile", "xy", "--steps", "400", "--rate", "2e-3"]
        finetune(["starter", "--data", str(folder), "--out", str(out), *recipe])
    return out


def made(studio: Studio, lora: dict[str, float]) -> Pixels:
    """What the starter makes of the material's name."""
    asked = {"prompt": MATERIAL, "model": "starter", "seed": PICTURES, "count": COUNT, "tile": "xy", "width": SIZE, "height": SIZE}
    return np.stack([output.pixels for output in studio.make("generate", {**asked, "lora": lora}).outputs])


class Judges:
    """Both, and what they compare with."""

    def __init__(self, registry: Registry, unseen: Pixels) -> None:
        self.clip: Any = self._loaded(registry, "clip")
        self.style: Any = self._loaded(registry, "style")
        source: Any = registry.dataset("procedural")
        self.materials = [name.replace("_", " ") for name in source.materials]
        self.words = self.clip.embed_texts(self.materials)
        self.wanted = self._look(unseen)

    @staticmethod
    def _loaded(registry: Registry, name: str) -> Any:
        entry = registry.model(name)
        family = registry.family(entry.family)
        return family.load(family.inspect(entry), torch.device("cpu"))

    def _look(self, pictures: Pixels) -> list[torch.Tensor]:
        """Mean Gram matrices by level."""
        found = []
        for picture in pictures:
            planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
            found.append([gram(level) for level in self.style.apply("feature_maps", {"picture": planes})])
        return [torch.stack(levels).mean(0) for levels in zip(*found, strict=True)]

    @torch.no_grad()
    def judge(self, pictures: Pixels) -> dict[str, float]:
        cosines = self.clip.embed_images(list(pictures)) @ self.words.T
        place = self.materials.index(MATERIAL)
        ranks = (cosines > cosines[:, place : place + 1]).sum(1) + 1
        distances = []
        for picture in pictures:
            parts = [float((a - b).norm() / b.norm()) for a, b in zip(self._look(picture[None]), self.wanted, strict=True)]
            distances.append(sum(parts) / len(parts))
        return {
            "clip: named first": round(float((ranks == 1).float().mean()), 3),
            "clip: median rank of 82": float(ranks.float().median()),
            "clip: mean cosine": round(float(cosines[:, place].mean()), 3),
            "look: median distance": round(float(np.median(distances)), 3),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, help="folder of the renders and the LoRA (default: a new one)")
    parser.add_argument("--sheet", type=Path, help="where a contact sheet goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    registry = build_plugins(first_party())
    shown, unseen = renders(registry, LEARNED), renders(registry, UNSEEN)
    lora = learned(options.work or Path(tempfile.mkdtemp()), shown)
    registry.models = (*registry.models, ModelEntry("learned", "lora", "learned", lora, ("lora",), kind="lora"))
    studio, judges = Studio(registry), Judges(registry, unseen)
    rows = {"learned from": shown[:COUNT], "before": made(studio, {}), "after": made(studio, {"learned": 1.0}), "unseen": unseen[:COUNT]}
    studio.close()
    found = {name: judges.judge(pictures) for name, pictures in rows.items()}
    RESULTS.write_text(json.dumps({"material": MATERIAL, "renders": SHOWN, "steps": 400, "judged": found}, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    if options.sheet is not None:
        pictures = [rows[name] for name in ("learned from", "before", "after")]
        titles = [name for name in ("learned from", "before", "after") for _ in range(COUNT)]
        save_sheet(options.sheet, np.concatenate(pictures), titles, COUNT)


if __name__ == "__main__":
    main()
