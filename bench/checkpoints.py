"""What Gesso adds to a checkpoint's own time, in ratios within one run. Medians, with quartiles where the machine may be busy.

    python bench/checkpoints.py           a Stable Diffusion of the true architecture and a fortieth of its size, random weights
    python bench/checkpoints.py --full    the full size of Stable Diffusion 1.5 (needs about 10 GB of memory, and minutes)

Writes bench/results/checkpoints.json.

overhead     a picture through the daemon (bytes in hand) against diffusers' pipeline in this process (PNG made): interleaved, same model,
             steps, size, threads; from two numbers of steps comes what is added per step, and once. Wall and processor time: the latter
             is what a busy machine falsifies least.
second job   from `submit` to the first step's start, with the model resident; the least of all shows what the machine's load adds
loading      reading a 1.7 GB safetensors file into memory of our own, against reading the same bytes from the page cache
alternating  two models under a budget that holds one: seconds more than with the model resident, against the seconds that a load takes
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "core"), str(ROOT / "plugins")]

from gesso.device.threads import pin, prepare, thread_count  # noqa: E402  (before torch)

prepare(thread_count())

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from tests.plugins.conftest import write_tokenizer  # noqa: E402

from gesso.client import Client, events  # noqa: E402
from gesso.library import ModelList  # noqa: E402
from gesso.library.listing import NAME  # noqa: E402
from gesso.manifest import ModelEntry  # noqa: E402

RESULT = ROOT / "bench/results/checkpoints.json"
CAPABILITIES = ("encode_text", "denoise", "decode", "encode_image")
SIZE = 128
FEW, MANY = 2, 10
PAIRS = 6
GIB = 2**30
LARGE = 1_700_000_000
WIDTHS = {False: (48, 96, 192, 192), True: (320, 640, 1280, 1280)}


def build(folder: Path, full: bool, seed: int) -> Path:
    """A StableDiffusionPipeline directory with random weights."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    tokenizer = write_tokenizer(folder / "words", 77)
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    layers = {"num_hidden_layers": 12 if full else 4}
    text = CLIPTextModel(
        CLIPTextConfig(vocab_size=len(tokenizer), hidden_size=768, intermediate_size=3072, num_attention_heads=12, **layers, **ends)
    )
    unet = UNet2DConditionModel(
        sample_size=64, block_out_channels=WIDTHS[full], cross_attention_dim=768, attention_head_dim=8, norm_num_groups=16
    )
    wide = (128, 256, 512, 512) if full else (32, 64, 128, 128)
    vae = AutoencoderKL(
        block_out_channels=wide, layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading")
    whole = StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False)
    whole.save_pretrained(folder / "model")
    return folder / "model"


class Daemon:
    """`gesso serve` in a state directory of its own, with the models on its list."""

    def __init__(self, home: Path, models: dict[str, Path], *settings: str) -> None:
        listed = ModelList(home / "models" / NAME)
        listed.put(ModelEntry(name, "stable-diffusion", name, path, CAPABILITIES) for name, path in models.items())
        self.home = home
        words = [word for setting in settings for word in ("--set", setting)]
        environment = {**os.environ, "GESSO_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path[1:3])}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gesso", "serve", *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (home / "run/daemon.json").exists():
            time.sleep(0.01)
        self.client = Client(start=False, home=home)

    def picture(self, model: str, prompt: str, steps: int) -> bytes:
        """The PNG's bytes."""
        asked = {"width": SIZE, "height": SIZE, "sampler": "euler", "schedule": "sgm_uniform", "guidance": 5.0, "seed": 1}
        job = self.client.submit("generate", prompt=prompt, model=model, steps=steps, **asked)
        return bytes(job.result().images[0].read())

    def worker(self) -> int:
        """Its process id."""
        return int(self.client.status()["workers"][0]["pid"])

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.process.terminate()
        self.process.wait(30)


def processor(*pids: int) -> float:
    """Seconds of processor time that the threads of these processes have used, to the nanosecond."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def spread(values: list[float], scale: float = 1000.0) -> dict[str, float]:
    """Median and quartiles in milliseconds."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median_ms": round(middle * scale, 2), "q1_ms": round(low * scale, 2), "q3_ms": round(high * scale, 2)}


def overhead(daemon: Daemon, pipe: Any, model: str) -> dict[str, Any]:
    """Pairs of pictures, here and there in turn."""
    here, there = (os.getpid(),), (daemon.worker(), daemon.process.pid)
    rows: dict[int, list[tuple[float, float, float, float]]] = {FEW: [], MANY: []}

    def timed(pids: tuple[int, ...], work: Callable[[], object]) -> tuple[float, float]:
        wall, used = time.perf_counter(), processor(*pids)
        work()
        return time.perf_counter() - wall, processor(*pids) - used

    def diffusers(prompt: str, steps: int) -> None:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            made = pipe(prompt, num_inference_steps=steps, guidance_scale=5.0, width=SIZE, height=SIZE, generator=generator).images[0]
        made.save(io.BytesIO(), "PNG")

    for steps in (FEW, MANY):  # warm
        diffusers("warm", steps)
        daemon.picture(model, "warm", steps)
    for pair in range(PAIRS):
        for steps in (FEW, MANY):
            prompt = f"picture {pair} of {steps} steps"
            ours = timed(there, lambda p=prompt, s=steps: daemon.picture(model, p, s))  # type: ignore[misc]
            theirs = timed(here, lambda p=prompt, s=steps: diffusers(p, s))  # type: ignore[misc]
            rows[steps].append((*ours, *theirs))
    found: dict[str, Any] = {}
    for name, ours, theirs in (("wall", 0, 2), ("processor", 1, 3)):
        more = {steps: [row[ours] - row[theirs] for row in rows[steps]] for steps in rows}
        a_step = [(many - few) / (MANY - FEW) for few, many in zip(more[FEW], more[MANY], strict=True)]
        once = [few - FEW * step for few, step in zip(more[FEW], a_step, strict=True)]
        found[name] = {
            "added_a_step": spread(a_step),
            "added_once": spread(once),
            f"ratio_{MANY}_steps": round(statistics.median(row[ours] / row[theirs] for row in rows[MANY]), 3),
            "diffusers_a_step": spread([(m[theirs] - f[theirs]) / (MANY - FEW) for f, m in zip(rows[FEW], rows[MANY], strict=True)]),
        }
    return found


def second_job(daemon: Daemon, model: str) -> dict[str, Any]:
    """Milliseconds from `submit` to the first step's start: to the first progress, less the step itself as the next ones take it."""
    found, told = [], []
    for number in range(4 * PAIRS):
        began = time.perf_counter()
        job = daemon.client.submit(
            "generate", prompt="resident", model=model, steps=6, seed=number, width=SIZE, height=SIZE, sampler="euler"
        )
        times: dict[int, float] = {}
        for event in job:
            if isinstance(event, events.Started):
                told.append(time.perf_counter() - began)
            if isinstance(event, events.Progress):
                times[event.step] = time.perf_counter() - began
        if 1 in times and len(times) > 1:
            last = max(times)
            found.append(times[1] - (times[last] - times[1]) / (last - 1))
    return {
        "first_step": {**spread(found[1:]), "least_ms": round(1000 * min(found[1:]), 2)},
        "resolved_and_journaled": {**spread(told[1:]), "least_ms": round(1000 * min(told[1:]), 2)},
    }


def loading(folder: Path) -> dict[str, Any]:
    """Reading 1.7 GB of tensors as families do, against reading the bytes."""
    from gesso_plugins.diffusion.loading import Place, _own
    from gesso_plugins.diffusion.source import read_tensors

    place = Place(torch.device("cpu"), torch.float32)
    path = folder / "large.safetensors"
    rows, columns = 2560, 1280
    save_file({f"layer.{n}": torch.rand(rows, columns) for n in range(LARGE // (4 * rows * columns))}, path)
    size = path.stat().st_size

    def read() -> object:
        raw = torch.empty(size, dtype=torch.uint8)
        with path.open("rb", buffering=0) as file:
            file.readinto(memoryview(raw.numpy()))  # the page cache to memory of our own, as one read does it
        return raw

    def loaded() -> object:
        return {name: _own(value, place) for name, value in read_tensors(path, place.device).items()}

    wall: dict[str, list[float]] = {"reading": [], "loading": []}
    used: dict[str, list[float]] = {"reading": [], "loading": []}
    for _ in range(6):
        for name, work in (("reading", read), ("loading", loaded)):
            began, spent = time.perf_counter(), time.process_time()
            work()
            wall[name].append(time.perf_counter() - began)
            used[name].append(time.process_time() - spent)
    path.unlink()
    ratios = [statistics.median(taken["loading"][1:]) / statistics.median(taken["reading"][1:]) for taken in (wall, used)]
    return {
        "bytes": size,
        "ratio_wall": round(ratios[0], 3),
        "ratio_processor": round(ratios[1], 3),
        "loading": spread(wall["loading"][1:]),
        "reading": spread(wall["reading"][1:]),
    }


def alternating(folder: Path, models: dict[str, Path]) -> dict[str, Any]:
    """Two models in turn, under a budget for one and for both."""
    found: dict[str, list[float]] = {}
    weights = max(sum(file.stat().st_size for file in path.rglob("*.safetensors")) for path in models.values())
    for name, budget in (("resident", 3 * weights), ("alternating", int(1.5 * weights))):
        daemon = Daemon(folder / name, models, f"worker.memory={budget}")
        try:
            for model in models:
                daemon.picture(model, "warm", FEW)
            for number in range(PAIRS * 2):
                began = time.perf_counter()
                daemon.picture(list(models)[number % 2], "resident", FEW)
                found.setdefault(name, []).append(time.perf_counter() - began)
        finally:
            daemon.close()
    more = statistics.median(found["alternating"]) - statistics.median(found["resident"])
    return {
        "weights_gib": round(weights / GIB, 2),
        "resident": spread(found["resident"]),
        "alternating": spread(found["alternating"]),
        "more_a_switch_ms": round(1000 * more, 1),
        "more_a_gib_ms": round(1000 * more / (weights / GIB), 1),
    }


def main() -> int:
    """Measure all of it, print and write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    warnings.simplefilter("ignore")
    pin(thread_count())
    with tempfile.TemporaryDirectory(prefix="gesso-b-", dir="/tmp") as place:
        folder = Path(place)
        first, second = (build(folder / name, full, seed) for seed, name in enumerate(("one", "two")))
        figures: dict[str, Any] = {"loading": loading(folder)}
        print(json.dumps(figures), flush=True)
        from diffusers import StableDiffusionPipeline

        pipe = StableDiffusionPipeline.from_pretrained(first, local_files_only=True)
        pipe.set_progress_bar_config(disable=True)
        millions = round(sum(p.numel() for p in pipe.unet.parameters()) / 1e6)
        daemon = Daemon(folder / "home", {"one": first})
        try:
            daemon.picture("one", "warm", FEW)
            figures["overhead"] = overhead(daemon, pipe, "one")
            figures["second_job_starts"] = second_job(daemon, "one")
        finally:
            daemon.close()
        del pipe
        figures["alternating"] = alternating(folder, {"one": first, "two": second})
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "model": f"Stable Diffusion 1.x architecture, UNet of {millions} M parameters, random weights, {SIZE} px, {FEW} and {MANY} steps",
        "machine": {"system": platform.system(), "cores": os.cpu_count(), "threads": thread_count(), "load": round(os.getloadavg()[0], 1)},
        "goals": {"added_a_step_ms": 3, "added_once_ms": 20, "second_job_starts_ms": 20, "loading_ratio": 1.2},
        **figures,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
