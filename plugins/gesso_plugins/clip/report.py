"""The table of `gesso evaluate clip`: seen materials at other seeds, materials never seen, and the colour histogram on both."""

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
    pools = {}
    for title, materials, universe, count in (
        ("trained", seen, Universe.TRAIN, TRAINED),
        ("other seeds", seen, Universe.CLASSIFIER_TEST, COUNT),
        ("unknown materials", HELD_OUT_MATERIALS, Universe.CLASSIFIER_TEST, COUNT),
    ):
        say(f"drawing {count} renders: {title}")
        store = RenderStore(out / title.replace(" ", "-"), SEED, 256)
        store.ensure(source, Request(universe, size, materials), count)
        pools[title] = Pool(store, universe, size, clip.tokenizer)
        pools[title].refresh(count // store.shard)
    rows = {}
    for title in ("other seeds", "unknown materials"):
        rows[title] = measure(clip, pools[title], colours)
        rows[f"colour histogram, {title}"] = histogram_baseline(pools["trained"], pools[title], colours)
    return rows
