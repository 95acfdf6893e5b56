"""The table of `gesso evaluate maps`: the network and the baseline on materials never trained on, and on seen ones at other seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gesso.plugin.datasets import MappedSource
from gesso.training.renders import Universe
from gesso_plugins.texture.maps.command import COUNT, SEED, TRAINED
from gesso_plugins.texture.maps.config import HELD_OUT_MATERIALS
from gesso_plugins.texture.maps.data import MapsPool, MapsRequest, MapsStore, Truth
from gesso_plugins.texture.maps.evaluate import Errors, baseline, errors, everything, fit_baseline, predict
from gesso_plugins.texture.maps.network import load_network

SIZE = 128


def report(path: Path, source: MappedSource, out: Path, say: Callable[[str], None]) -> dict[str, Errors]:
    """Errors by row of the table, for the network in `path`; its renders stay in `out` for the next time."""
    network = load_network(path)
    names = getattr(source, "materials", ())
    seen = tuple(name for name in names if name not in HELD_OUT_MATERIALS)

    def draw(title: str, materials: tuple[str, ...], universe: Universe, count: int) -> Truth:
        say(f"drawing {count} renders with maps: {title}")
        request = MapsRequest(universe, SIZE, materials)
        store = MapsStore(out / title.replace(" ", "-"), SEED, 128)
        store.ensure(source, request, count)
        pool = MapsPool(store, request)
        pool.refresh(count // store.shard)
        return everything(pool, count)

    lines = fit_baseline(draw("trained", seen, Universe.TRAIN, TRAINED))
    rows = {}
    for title, materials in (("unknown materials", HELD_OUT_MATERIALS), ("other seeds", seen)):
        truth = draw(title, materials, Universe.CLASSIFIER_TEST, COUNT)
        rows[title] = errors(predict(network, truth.pictures), truth)
        rows[f"luminance, {title}"] = errors(baseline(truth, lines), truth)
    return rows
