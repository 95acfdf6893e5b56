"""How much of a style is taken over and how much of the shapes stays: `style` against Reinhard's transfer of colours, on a fixed small set.

    python bench/style.py [--sheet docs/pictures/style.webp]

Each of three scenes takes on the look of each of four paintings; none was trained on. The look is told by two encoders: the network's own,
which it was trained against, and one of random filters, which nothing was trained against. A fall of 0.4 means that 40 % of the Gram
distance is gone. Edges are the correlation of brightness gradients. Results: bench/results/style.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from gesso.manifest import first_party
from gesso.media.documents import Document, write
from gesso.media.profile import SRGB
from gesso.model.features import Look, gram, style_distance
from gesso.plugin import build_plugins
from gesso.testing import Studio
from gesso.training.sheet import save_sheet
from gesso_plugins.style.canvas import Pixels, tensor
from gesso_plugins.style.family import StyleFamily
from gesso_plugins.style.learning.canvas import Field
from gesso_plugins.style.learning.paintings import MEDIA, recoloured
from gesso_plugins.style.learning.scenes import scene
from gesso_plugins.style.measure import edge_correlation
from gesso_plugins.style.transfer import features

RESULTS = Path(__file__).parent / "results" / "style.json"
SIZE = 128
SEED = 20_011
PAINTED = ("oil", "dashes", "mosaic", "watercolour")
METHODS: Mapping[str, Mapping[str, Any]] = {
    "colours": {"method": "colours"},
    "transfer": {"method": "transfer"},
    "optimise": {"method": "optimise"},
    "optimise, shapes kept": {"method": "optimise", "preserve": "shapes"},
}


def pictures() -> tuple[list[Field], list[Field]]:
    """Scenes and paintings of a seed of their own."""
    source = build_plugins(first_party()).dataset("procedural")
    tiles = np.stack([source.sample(np.random.default_rng([SEED, i]), SIZE).image for i in range(24)])
    rng = np.random.default_rng(SEED)
    scenes = [scene(rng, tiles) for _ in range(12)]
    busy = sorted(scenes, key=lambda picture: -float(np.ptp(picture, (0, 1)).mean()))
    contents, models = busy[:3], busy[3:7]
    styles = [MEDIA[name](recoloured(model, rng), rng).clip(0, 1).astype(np.float32) for name, model in zip(PAINTED, models, strict=True)]
    return contents, styles


def random_filters(picture: torch.Tensor) -> list[torch.Tensor]:
    """Four levels of 32 fixed random filters of 5 x 5 over red, green and blue, rectified (after Ustyuzhaninov et al. 2016)."""
    generator = torch.Generator().manual_seed(7)
    found, x = [], picture * 2 - 1
    for _ in range(4):
        filters = torch.randn((32, 3, 5, 5), generator=generator)
        filters = filters / filters.flatten(1).norm(dim=1)[:, None, None, None]
        found.append(functional.relu(functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), filters)))
        x = functional.avg_pool2d(x, 2)
    return found


def fall(encode: Any, content: Pixels, style: Pixels, made: Pixels) -> float:
    """The share of the Gram distance that is gone."""
    look = (Look(tuple(gram(level) for level in encode(tensor(style)))),)
    before, after = (float(style_distance(encode(tensor(each)), look)) for each in (content, made))
    return 1 - after / before


def measure() -> tuple[dict[str, Any], list[Pixels]]:
    """The figures by method, and the pictures of the sheet."""
    studio = Studio()
    card = studio.context().model("style")
    network = StyleFamily().load(card, torch.device("cpu"))._network
    contents, styles = pictures()
    blobs: dict[str, bytes] = {}

    def name(picture: Pixels) -> dict[str, str]:
        data = write(Document((picture * 255 + 0.5).astype(np.uint8), SRGB, "png"))
        key = hashlib.sha256(data).hexdigest()
        blobs[key] = data
        return {"sha256": key}

    rows: dict[str, dict[str, list[float]]] = {method: {"own": [], "independent": [], "edges": []} for method in METHODS}
    shown: list[Pixels] = []
    for content in contents:
        for style in styles:
            made = {}
            for method, params in METHODS.items():
                request = {"image": name(content), "style": [name(style)], "size": SIZE, "seed": 1, **params}
                output = studio.make("style", request, blobs).outputs[0]
                made[method] = output.pixels.astype(np.float32) / np.float32(255)
                rows[method]["own"].append(fall(lambda x: features(network, x), content, style, made[method]))
                rows[method]["independent"].append(fall(random_filters, content, style, made[method]))
                rows[method]["edges"].append(edge_correlation(content, made[method]))
            shown += [content, style, *made.values()]
    studio.close()
    figures = {
        method: {key: {"median": round(float(np.median(all_)), 3), "lowest": round(min(all_), 3)} for key, all_ in row.items()}
        for method, row in rows.items()
    }
    return figures, shown


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path, help="write the pictures of the first two scenes here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures, shown = measure()
    RESULTS.write_text(json.dumps({"size": SIZE, "pairs": 12, "fall of Gram distance, edges": figures}, indent=2) + "\n")
    for method, row in figures.items():
        print(f"{method}: " + ", ".join(f"{key} {value['median']:.2f} (lowest {value['lowest']:.2f})" for key, value in row.items()))
    if options.sheet is not None:
        titles = ["image", "style", *METHODS]
        save_sheet(options.sheet, (np.stack(shown[: 8 * len(titles)]) * 255 + 0.5).astype(np.uint8), titles * 8, 2 * len(titles))


if __name__ == "__main__":
    main()
