"""What the engine costs and gains, side by side in one run on one tiny Stable Diffusion of the true architecture. Medians.

    python bench/engine.py            writes bench/results/engine.json

overhead     CPU ms a step: the whole, and what is above the forwards of the UNet, for the engine and for diffusers' own pipeline
crowd        8 jobs at level `fast` against the same 8 at `exact` and one after the other
interactive  submit to first preview while a batch of 100 pictures runs, in steps of that batch
cancel       from the wish to the end of a job, in steps
guard        microseconds of one look at the ambient state
preview      drawing one of a 512 px picture, and the share of a core at ten a second
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "core"), str(ROOT / "plugins")]

from gesso.device.threads import pin, prepare, thread_count  # noqa: E402  (before torch)

prepare(thread_count())

import torch  # noqa: E402

from gesso.device.environment import environment  # noqa: E402
from gesso.engine import (  # noqa: E402
    All,
    Ended,
    Engine,
    Guide,
    Hooks,
    Job,
    ModelRef,
    Preview,
    Prompted,
    Ticket,
    drive,
    guided,
    reporting,
)
from gesso.engine.guard import Ambient  # noqa: E402
from gesso.media import preview as pictures  # noqa: E402
from gesso.model import Conditioning, ModelCard  # noqa: E402
from gesso.model.border import parametrisation_of  # noqa: E402
from gesso.model.card import Latent  # noqa: E402
from gesso.worker.reports import draw  # noqa: E402
from gesso_plugins.diffusion.clip import ClipText  # noqa: E402
from gesso_plugins.diffusion.codec import Codec  # noqa: E402
from gesso_plugins.diffusion.model import LatentDiffusion  # noqa: E402
from gesso_plugins.diffusion.unet import UNetDenoiser  # noqa: E402
from gesso_plugins.guidance.classifier_free import classifier_free  # noqa: E402

RESULT = ROOT / "bench/results/engine.json"
ROUNDS, STEPS, SIDE, WIDTH = 5, 20, 16, 64
SCHEDULER = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
REF = ModelRef("tiny", "tiny")


class Tiny:
    """The networks, as a Gesso model and as a diffusers pipeline."""

    def __init__(self) -> None:
        from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=SIDE,
            in_channels=4,
            out_channels=4,
            block_out_channels=(32, 64),
            layers_per_block=1,
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
            norm_num_groups=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ).eval()
        vae = AutoencoderKL(block_out_channels=(16, 32), norm_num_groups=8, latent_channels=4).eval()
        words = CLIPTextModel(CLIPTextConfig(hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4)).eval()
        parametrisation = parametrisation_of(SCHEDULER)
        card = ModelCard(
            "tiny", "stable-diffusion", "tiny", "Tiny", None, frozenset({"denoise"}), parametrisation=parametrisation, latent=Latent(4, 2)
        )
        cpu = torch.device("cpu")
        text, codec = ClipText(None, words, cpu), Codec(vae, 4, cpu)
        self.model = LatentDiffusion(card, text, UNetDenoiser(unet, parametrisation, Latent(4, 2)), codec, cpu)
        self.pipeline = StableDiffusionPipeline(
            vae, words, None, unet, EulerDiscreteScheduler(**SCHEDULER), None, None, requires_safety_checker=False
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.unet = unet
        self.conds = [Conditioning(torch.randn(1, 77, WIDTH)) for _ in range(2)]
        self.device = torch.device("cpu")
        self.sigmas = [*reversed(parametrisation.sigmas[:: 1000 // STEPS]), 0.0]

    @contextmanager
    def using(self, _: ModelRef) -> Generator[Any, None, None]:
        yield self.model

    def card(self, _: ModelRef) -> ModelCard:
        return self.model.card

    def make_room(self) -> int:
        return 0


def euler(x: torch.Tensor, sigmas: list[float]) -> Generator[Any, Any, torch.Tensor]:
    for sigma, following in itertools.pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        x = x + (x - denoised) * ((following - sigma) / sigma)
    return x


def start(seed: int, sigma: float) -> torch.Tensor:
    return torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * sigma


def picture(tiny: Tiny, seed: int, *, report: bool = True, steps: int | None = None) -> Job:
    guide = Guide("classifier_free", classifier_free.function, {"scale": 5.0})
    denoiser = guided([guide], Prompted(REF, tiny.conds[0], tiny.conds[1]), tiny.model.parametrisation, tiny.sigmas)
    if report:
        denoiser = reporting(denoiser, image=0, model=REF, sigmas=tiny.sigmas, total=STEPS)
    return (yield from drive(euler(start(seed, tiny.sigmas[0]), tiny.sigmas), denoiser, steps))


def batch(tiny: Tiny, count: int) -> Job:
    return (yield All(*(picture(tiny, seed) for seed in range(count))))


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work()
    return clock() - began


def engine_of(tiny: Tiny, pool: ThreadPoolExecutor, events: Callable[[str, Any], None] = lambda *_: None) -> Engine:
    return Engine(tiny, pool, Hooks(events))


def bare(tiny: Tiny) -> None:
    """The forwards alone, with inputs like those that the engine would give them."""
    words = torch.cat([cond.tokens for cond in tiny.conds])
    x = torch.cat([start(1, 1.0)] * 2)
    with torch.no_grad():
        for step in range(STEPS):
            tiny.unet(x, torch.tensor([step * 50] * 2), encoder_hidden_states=words, return_dict=False)


def diffusers_pipeline(tiny: Tiny) -> None:
    words = [cond.tokens for cond in tiny.conds]
    tiny.pipeline(
        prompt_embeds=words[0],
        negative_prompt_embeds=words[1],
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        latents=start(1, 1.0),
        height=SIDE * 2,
        width=SIDE * 2,
        output_type="latent",
    )


def hollow(x: torch.Tensor | None = None, *_: object, sample: torch.Tensor | None = None, **__: object) -> tuple[torch.Tensor | None]:
    """A UNet that gives its input back, however it is called."""
    return (x if sample is None else sample,)


def overhead(tiny: Tiny, pool: ThreadPoolExecutor) -> dict[str, float]:
    """CPU time with the UNet and, for what is above it, with a hollow one: the difference of two long times would drown in noise."""

    def ended(_: str, event: object) -> None:
        if isinstance(event, Ended) and event.error is not None:
            raise SystemExit(f"what is measured fails: {event.error.message}")

    running = engine_of(tiny, pool, ended)

    def engine() -> None:
        running.start(Ticket("a"), picture(tiny, 1))
        running.run()

    works: dict[str, Callable[[], None]] = {
        "bare": lambda: bare(tiny),
        "engine": engine,
        "pipeline": lambda: diffusers_pipeline(tiny),
    }
    whole = medians(works, ROUNDS)
    forward, tiny.unet.forward = tiny.unet.forward, hollow
    above = medians(works, 3 * ROUNDS)
    tiny.unet.forward = forward
    return {f"{name}_ms": value for name, value in whole.items()} | {
        f"{name}_above_forwards_ms": above[name] - above["bare"] for name in ("engine", "pipeline")
    }


def medians(works: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """CPU ms a step, in turns, so that a busy moment hurts all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            spent = seconds(work, time.process_time) / STEPS * 1000
            if round_ > 0:
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


def crowd(tiny: Tiny, pool: ThreadPoolExecutor) -> dict[str, float]:
    shared = engine_of(tiny, pool)
    results: dict[str, dict[str, torch.Tensor]] = {"exact": {}, "fast": {}}

    def run(level: str, engine: Engine) -> None:
        for seed in range(8):
            engine.start(Ticket(str(seed), level="fast" if level == "fast" else "exact"), picture(tiny, seed, report=False))
        engine.run()

    def keep(level: str) -> Callable[[str, Any], None]:
        return lambda job, event: results[level].update({job: event.value}) if isinstance(event, Ended) else None

    for level in results:
        run(level, engine_of(tiny, pool, keep(level)))
    run("fast", shared)
    times: dict[str, list[float]] = {level: [] for level in results}
    for _ in range(ROUNDS):
        times["exact"].append(seconds(lambda: run("exact", shared)))
        times["fast"].append(seconds(lambda: run("fast", shared)))
    exact, fast = (statistics.median(times[level]) for level in ("exact", "fast"))
    deviation = max(float((results["fast"][k] - v).abs().max() / v.abs().max()) for k, v in results["exact"].items())
    return {"exact_s": exact, "fast_s": fast, "gain": exact / fast, "largest_relative_deviation": deviation}


class Watch:
    """Notes when the first event of a kind came from each job."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.seen: dict[str, float] = {}

    def __call__(self, job: str, event: object) -> None:
        if isinstance(event, self.kind):
            self.seen.setdefault(job, time.perf_counter())


def step_of(engine: Engine) -> float:
    return statistics.median(seconds(engine.turn) for _ in range(20))


def interactive(tiny: Tiny, pool: ThreadPoolExecutor) -> dict[str, float]:
    waits = []
    for round_ in range(ROUNDS):
        watch = Watch(Preview)
        engine = engine_of(tiny, pool, watch)
        engine.start(Ticket("batch", client="a"), batch(tiny, 100))
        step = step_of(engine)
        began = time.perf_counter()
        engine.start(Ticket("now", client="b", priority="interactive"), picture(tiny, 1000 + round_))
        while "now" not in watch.seen:
            engine.turn()
        waits.append((watch.seen["now"] - began) / step)
        engine.close()
    return {"first_preview_steps": statistics.median(waits), "worst_steps": max(waits)}


def cancel(tiny: Tiny, pool: ThreadPoolExecutor) -> dict[str, float]:
    waits = []
    for round_ in range(4 * ROUNDS):
        watch = Watch(Ended)
        engine = engine_of(tiny, pool, watch)
        engine.start(Ticket("a"), batch(tiny, 100))
        step = step_of(engine)
        wished = time.perf_counter() + step * (round_ % ROUNDS) / ROUNDS
        while time.perf_counter() < wished:
            engine.turn()
        engine.cancel("a")
        waits.append((watch.seen["a"] - wished) / step)
    return {"median_steps": statistics.median(waits), "worst_steps": max(waits)}


def guard() -> dict[str, float]:
    ambient = Ambient()
    with ambient.within():
        return {"look_us": statistics.median(seconds(ambient.leaks) for _ in range(500)) * 1e6}


def preview() -> dict[str, float]:
    latent, matrix = torch.randn(1, 4, 64, 64), torch.randn(5, 3)
    how = lambda x0: pictures.enlarged(pictures.project(x0, matrix), 8)  # noqa: E731  (as the plugin `previews` does)
    drawing = statistics.median(seconds(lambda: draw(latent, how), time.process_time) for _ in range(50))
    return {"draw_ms": drawing * 1000, "percent_of_a_core": drawing * 10 * 100}


def main() -> int:
    warnings.simplefilter("ignore")
    pin(thread_count())
    tiny = Tiny()
    gc.freeze()  # as a worker does once its plugins are there: else each full collection looks at every module of torch
    with ThreadPoolExecutor(1) as pool:
        measured = {
            "overhead": overhead(tiny, pool),
            "crowd": crowd(tiny, pool),
            "interactive": interactive(tiny, pool),
            "cancel": cancel(tiny, pool),
            "guard": guard(),
            "preview": preview(),
        }
    for name, row in measured.items():
        print(f"{name:12}" + "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {**environment(torch.device("cpu")), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)},
        "python": platform.python_version(),
        "setting": f"UNet of {tiny.unet.num_parameters() / 1e6:.1f} million, latent {SIDE}x{SIDE}, {STEPS} steps, guided",
        "measured": {name: {key: float(f"{value:.4g}") for key, value in row.items()} for name, row in measured.items()},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
