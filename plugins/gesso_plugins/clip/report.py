"""The table of `gesso evaluate clip`: on all materials, on those seen at other seeds, on those never seen; the colour histogram on each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gesso.plugin.datasets import CaptionedSource
from gesso.training.renders import RenderStore, Request, Universe
from gesso_plugins.clip.batches import Pool
from gesso_plugins.clip.config import HELD_OUT_MATERIALS
from gesso_plugins.clip.evaluate import Figures, histogram_baseline, measure
from gesso_plugins.clip.networks import load

SEED = 4242
COUNT, TRAINED = 1_024, 4_096


def report(folder: Path, source: CaptionedSource, out: Path, say: Callable[[str], None]) -> dict[str, Figures]:
    """Figures by row of the table, for the model in `folder`; its renders stay in `out` for the next time."""
    clip, _ = load(folder)
    size = clip.network.config.vision_config.image_size
    colours = tuple(getattr(source, "colours", ()))
    names = tuple(getattr(source, "materials", ()))
    seen = tuple(name for name in names if name not in HELD_OUT_MATERIALS)
    held_out = {"all materials": names, "other seeds": seen, "unknown materials": HELD_OUT_MATERIALS}
    pools = {}
    for title, materials in {"trained": seen, **held_out}.items():
        universe, count = (Universe.TRAIN, TRAINED) if title == "trained" else (Universe.CLASSIFIER_TEST, COUNT)
        say(f"drawing {count} renders: {title}")
        store = RenderStore(out / title.replace(" ", "-"), SEED, 256)
        store.ensure(source, Request(universe, size, materials), count)
        pools[title] = Pool(store, universe, size, clip.tokenizer)
        pools[title].refresh(count // store.shard)
    rows = {}
    for title in held_out:
        rows[title] = measure(clip, pools[title], colours)
        rows[f"colour histogram, {title}"] = histogram_baseline(pools["trained"], pools[title], colours)
    return rows
