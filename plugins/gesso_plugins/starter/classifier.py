"""The judge of the starter: a small network that names material and colour, trained on renders that the generator never sees.

It shares nothing with the generator: no weights, no code of its networks, no seed of its data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import CaptionedSource
from gesso.training.files import write_atomically
from gesso.training.muon import build_optimiser, set_rate
from gesso.training.rate import rate
from gesso.training.renders import RenderStore, Request, Universe

Images = npt.NDArray[np.uint8]


TRAINED = 128
"""Pixels a side of what the judge is trained on."""


@dataclass(frozen=True)
class ClassifierConfig:
    """How the judge is trained."""

    widths: tuple[int, ...] = (24, 48, 64, 96, 112)
    size: int = 128
    renders: int = 16_384
    held_out: int = 1_024
    batch: int = 48
    steps: int = 4_000
    matrix_learning_rate: float = 0.01
    learning_rate: float = 2e-3
    seed: int = 77


@dataclass(frozen=True)
class Verdict:
    """Class numbers per picture."""

    materials: npt.NDArray[np.int64]
    colours: npt.NDArray[np.int64]


class Stage(nn.Module):
    """A strided convolution and a residual one."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(before, after, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(8, after)
        self.mix = nn.Conv2d(after, after, 3, padding=1)
        self.norm_mix = nn.GroupNorm(8, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the sides."""
        x = functional.silu(self.norm(self.down(x)))
        return x + functional.silu(self.norm_mix(self.mix(x)))


class Judge(nn.Module):
    """Five stages, then the mean and the spread of the features; the colours also see the pixels' own mean and spread."""

    def __init__(self, widths: Sequence[int], materials: Sequence[str], colours: Sequence[str]) -> None:
        super().__init__()
        self.materials = tuple(materials)
        self.colours = tuple(colours)
        self.stages = nn.ModuleList([Stage(a, b) for a, b in zip((3, *widths[:-1]), widths, strict=True)])
        self.material_head = nn.Linear(2 * widths[-1] + 2 * widths[-2], len(self.materials))
        self.colour_hidden = nn.Linear(2 * widths[-1] + 2 * widths[0] + 6, 96)
        self.colour_head = nn.Linear(96, len(self.colours))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of material and colour for images in [-1, 1]."""
        pooled = [_pool(images)]
        x = images
        for stage in self.stages:
            x = stage(x)
            pooled.append(_pool(x))
        material = self.material_head(torch.cat([pooled[-2], pooled[-1]], 1))
        hidden = functional.silu(self.colour_hidden(torch.cat([pooled[0], pooled[1], pooled[-1]], 1)))
        return material, self.colour_head(hidden)

    @torch.no_grad()
    def judge(self, images: Images, batch: int = 64) -> Verdict:
        """Name what pictures show."""
        padding = make_seamless(self)
        logits = [self(_tensor(images[i : i + batch])) for i in range(0, len(images), batch)]
        padding.eject()
        return Verdict(*(torch.cat([pair[k] for pair in logits]).argmax(1).numpy() for k in (0, 1)))


def enlarged(images: Images) -> Images:
    """Smaller pictures enlarged towards the 128 pixels a side that the judge was trained at, each pixel to a square of as many: it names
    the material of 99 % of true renders of 64 pixels so, and of half of them as they are.
    """
    times = max(1, TRAINED // images.shape[1])
    return images.repeat(times, 1).repeat(times, 2)


def accuracy(judge: Judge, images: Images, labels: Sequence[Mapping[str, str]]) -> tuple[float, float]:
    """The shares of pictures whose material and whose colour are named as labelled."""
    verdict = judge.judge(images)
    wanted = _numbers(judge, labels)
    return float((verdict.materials == wanted[:, 0].numpy()).mean()), float((verdict.colours == wanted[:, 1].numpy()).mean())


def new_judge(materials: Sequence[str], colours: Sequence[str], config: ClassifierConfig) -> Judge:
    """An untrained judge, the same for the same seed."""
    torch.manual_seed(config.seed)
    return Judge(config.widths, materials, colours)


def train_judge(judge: Judge, source: CaptionedSource, store: RenderStore, config: ClassifierConfig, say: Callable[[str], None]) -> None:
    """Train on renders of a universe of its own."""
    store.ensure(source, Request(Universe.CLASSIFIER, config.size, judge.materials), config.renders)
    shards = [store.load(Universe.CLASSIFIER, config.size, number) for number in range(config.renders // store.shard)]
    images = np.concatenate([shard.images for shard in shards])
    targets = _numbers(judge, [label for shard in shards for label in shard.labels])
    optimiser = build_optimiser([judge], config.matrix_learning_rate, config.learning_rate)
    padding = make_seamless(judge)
    for step in range(config.steps):
        set_rate(optimiser, rate(step, warmup=config.steps // 20, start_decay=config.steps // 5, steps=config.steps, final=0.01))
        rng = np.random.default_rng([config.seed, step])
        index = rng.integers(0, len(images), config.batch)
        loss = _loss(judge, _spoil(_tensor(images[index]), rng), targets[index])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 100 == 0:
            say(f"judge step {step}/{config.steps}: loss {float(loss.detach()):.3f}")
    padding.eject()


def held_out_accuracy(judge: Judge, source: CaptionedSource, store: RenderStore, config: ClassifierConfig) -> tuple[float, float]:
    """How often the judge is right on renders nobody was trained on."""
    store.ensure(source, Request(Universe.CLASSIFIER_TEST, config.size, judge.materials), config.held_out)
    shards = [store.load(Universe.CLASSIFIER_TEST, config.size, number) for number in range(config.held_out // store.shard)]
    return accuracy(judge, np.concatenate([shard.images for shard in shards]), [label for shard in shards for label in shard.labels])


def save_judge(path: Path, judge: Judge, config: ClassifierConfig) -> None:
    """Keep the judge in half precision, with the names of its classes."""
    metadata = {"materials": json.dumps(judge.materials), "colours": json.dumps(judge.colours), "widths": json.dumps(config.widths)}
    tensors = {name: value.half().contiguous() for name, value in judge.state_dict().items()}
    write_atomically(path, lambda target: save_file(tensors, target, metadata))


def load_judge(path: Path) -> Judge:
    """Read a judge."""
    with safe_open(path, framework="pt") as file:
        names = {key: json.loads(value) for key, value in file.metadata().items()}
        judge = Judge(names["widths"], names["materials"], names["colours"])
    judge.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return judge.eval()


def _pool(x: torch.Tensor) -> torch.Tensor:
    """Mean and spread over the picture."""
    return torch.cat([x.mean((2, 3)), (x.var((2, 3)) + 1e-5).sqrt()], 1)


def _tensor(images: Images) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _numbers(judge: Judge, labels: Sequence[Mapping[str, str]]) -> torch.Tensor:
    """Class numbers (N, 2)."""
    return torch.tensor([(judge.materials.index(label["material"]), judge.colours.index(label["colour"])) for label in labels])


def _loss(judge: Judge, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    material, colour = judge(images)
    terms = [functional.cross_entropy(logits, targets[:, k], label_smoothing=0.05) for k, logits in enumerate((material, colour))]
    return terms[0] + terms[1]


def _spoil(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Roll the batch over the torus; blur half of it a little and add faint noise, so that no verdict hangs on the last detail."""
    images = torch.roll(images, (int(rng.integers(images.shape[2])), int(rng.integers(images.shape[3]))), (2, 3))
    half = len(images) // 2
    weight = float(rng.uniform(0.1, 0.9))
    soft = functional.avg_pool2d(functional.pad(images[:half], (1, 1, 1, 1), mode="circular"), 3, 1)
    blurred = images[:half].lerp(soft, weight)
    noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32)) * float(rng.uniform(0, 0.06))
    return torch.cat([blurred, images[half:]]) + noise
