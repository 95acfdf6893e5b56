"""What a forward costs with 1 to 64 rows, and up to how many rows the engine would gather: its knee, as it measures and remembers it.

    python bench/curve.py [starter | sd1 | sdxl ...] [--side 512] [--rows 1,2,4] [--device cuda] [--takes 5]

By default the starter on the CPU, all three on a GPU, at 128, 512 and 1024 px; SD 1.5 and SDXL have their true sizes and random weights,
in half precision on a GPU. A row is one picture's place in a forward without guidance; with it a picture takes two. Every row is a job of
its own at level `fast`, and the engine gathers them. Where memory ends the curve does, and says so. On the CPU one thread computes, and
its processor time is taken, so that other programs change little.
Writes bench/results/curve.json, one entry for each machine, model and size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "core"), str(ROOT / "plugins")]

from gesso.device.threads import pin, prepare  # noqa: E402  (before torch)

if __name__ == "__main__":
    prepare(1)

import torch  # noqa: E402

from gesso.device.environment import environment, settle  # noqa: E402
from gesso.device.residency import ModelPool  # noqa: E402
from gesso.engine import Denoise, EncodeText, Ended, Engine, Hooks, Job, ModelRef, Ticket  # noqa: E402
from gesso.engine.batching import Key, Knee  # noqa: E402
from gesso.engine.forward import Models  # noqa: E402
from gesso.engine.kernels import Kernels  # noqa: E402
from gesso.manifest import ModelEntry, first_party  # noqa: E402
from gesso.model import ModelCard  # noqa: E402
from gesso.plugin import build_plugins  # noqa: E402
from gesso.worker.models import WorkerCatalogue  # noqa: E402

RESULT = ROOT / "bench/results/curve.json"
SIDES = {"starter": 128, "sd1": 512, "sdxl": 1024}
ROWS = (1, 2, 4, 8, 16, 32, 64)
TAKES = 5


class Led(Knee):
    """The engine's own knee, but for how many rows are gathered: ``rows``. It learns from these forwards as from any others."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.rows = 1
        self.seconds: list[float] = []
        self.full = False
        self.key: Key = ()

    def limit(self, key: Key) -> int:
        return self.rows if key[0] == Denoise.__name__ else super().limit(key)

    def record(self, key: Key, rows: int, seconds: float) -> None:
        super().record(key, rows, seconds)
        if key[0] == Denoise.__name__ and rows == self.rows:
            self.key = key
            self.seconds.append(seconds)

    def lower(self, key: Key, rows: int) -> None:
        super().lower(key, rows)
        self.full = True

    @property
    def found(self) -> int:
        """How many rows the engine would gather now."""
        return super().limit(self.key)


@dataclass(frozen=True)
class Curve:
    """Seconds of a forward by its rows, the knee, and a sentence where it ended early."""

    seconds: dict[int, float]
    knee: int
    ended: str = ""


def denoising(card: ModelCard, side: int, seed: int) -> Job:
    """One row, again and again."""
    assert card.latent is not None
    assert card.parametrisation is not None
    ref = ModelRef(card.name, card.digest)
    (cond,) = yield EncodeText(ref, ("a mossy wall",))
    sigma = card.parametrisation.sigma_max / 4
    x = torch.randn(1, *card.latent.shape(side, side), generator=torch.Generator().manual_seed(seed)) * sigma
    while True:
        yield Denoise(ref, x, sigma, (cond,))


def measure(models: Models, card: ModelCard, side: int, rows: Sequence[int], takes: int, clock: Callable[[], float]) -> Curve:
    """The curve, smallest row count first. The first forwards of each count, in which `fast` tries kernels, are not in it."""

    def event(_: str, told: object) -> None:
        if isinstance(told, Ended) and told.error is not None and told.error.code != "out_of_memory":
            raise SystemExit(f"what is measured fails: {told.error.message}")

    knee, found, ended = Led(max(rows)), {}, ""
    with ThreadPoolExecutor(1) as threads:
        engine = Engine(models, threads, Hooks(event, clock=clock))
        engine._calls._knee = knee
        for count in sorted(rows):
            knee.rows, knee.seconds = count, []
            for seed in range(count):
                engine.start(Ticket(f"{count}-{seed}", level="fast"), denoising(card, side, seed))
            while len(knee.seconds) < Kernels.SAMPLES + takes and not knee.full:
                engine.turn()
            engine.close()
            if knee.full:
                ended = f"A forward of {count} row{'s' * (count > 1)} did not fit into memory."
                break
            found[count] = statistics.median(knee.seconds[-takes:])
    return Curve(found, knee.found, ended)


@contextmanager
def placed(model: str, device: torch.device) -> Iterator[tuple[ModelPool, ModelCard]]:
    """The model on the device, and its card."""
    registry = build_plugins(first_party())
    with tempfile.TemporaryDirectory(prefix="gesso-curve-") as folder:
        if model != "starter":
            from bench.full_size import FORMS, build

            build(model, Path(folder) / model)
            capabilities = ("encode_text", "denoise", "decode")
            registry.models = (*registry.models, ModelEntry(model, FORMS[model][0], model, Path(folder) / model, capabilities))
        catalogue = WorkerCatalogue(registry)
        yield ModelPool(catalogue, device), catalogue.card(model)


def document(curve: Curve) -> dict[str, Any]:
    """As it is written."""
    by_rows = {
        str(rows): {"forward_ms": float(f"{seconds * 1000:.4g}"), "rows_per_s": float(f"{rows / seconds:.4g}")}
        for rows, seconds in curve.seconds.items()
    }
    return {"knee": curve.knee, "rows": by_rows, **({"ended": curve.ended} if curve.ended else {})}


def keep(device: torch.device, name: str, told: dict[str, Any]) -> None:
    """Put one curve into the results, beside those of other machines."""
    machine = environment(device)
    held = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    curves = held.setdefault(f"{device.type}: {machine['name']}", {})
    load = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)} if device.type == "cpu" else {}
    curves[name] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": {**machine, **load}, **told}
    RESULT.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Milliseconds a forward by its rows, and the engine's knee.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(SIDES)}")
    parser.add_argument("--side", type=int, help="pixels")
    parser.add_argument("--rows", type=lambda text: tuple(int(part) for part in text.split(",")), default=ROWS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--takes", type=int, default=TAKES, help="forwards that the median is of")
    given = parser.parse_args(words)
    if unknown := set(given.models) - set(SIDES):
        parser.error(f"no model {sorted(unknown)[0]!r}; there are {', '.join(SIDES)}")
    return given


def main(words: Sequence[str]) -> int:
    given = arguments(words)
    device = torch.device(given.device)
    settle(device)
    pin(1)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for model in given.models or (SIDES if device.type == "cuda" else ["starter"]):
        side = given.side or SIDES[model]
        with placed(model, device) as (pool, card):
            curve = measure(pool, card, side, given.rows, given.takes, clock)
        keep(device, f"{model} at {side} px", document(curve))
        print(f"{model} at {side} px on {device.type}")
        for rows, seconds in curve.seconds.items():
            print(f"{rows:6} rows {seconds * 1000:10.2f} ms {rows / seconds:10.2f} rows/s")
        print(f"the knee: {curve.knee} rows. {curve.ended}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
