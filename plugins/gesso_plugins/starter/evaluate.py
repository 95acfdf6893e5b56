"""The fixed evaluation: 500 prompts with their seeds, made at 128 px, judged for material and colour, and measured across the border.

Prompts, seeds and judge are files of this package, older than any weights they are used on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.plugin.datasets import CaptionedSource, PromptedSource
from gesso.training.files import read_json, write_json
from gesso_plugins.starter.classifier import Judge, enlarged

Images = npt.NDArray[np.uint8]
Generate = Callable[[Sequence[str], Sequence[int]], Images]
COUNT = 500
FIRST_SEED = 100_000
JUDGE_SEEDS = 1_000_000
"""How far the seeds of the judge's own test lie from those of the prompts."""


@dataclass(frozen=True)
class Prompt:
    """What is asked for, in words and as classes, and from which seed."""

    text: str
    material: str
    colour: str
    seed: int


@dataclass(frozen=True)
class Report:
    """What was measured. asked: how many pictures of each material there were; missed: of how many the judge named another."""

    images: int
    material: float
    colour: float
    both: float
    wrap_ratio: float
    asked: dict[str, int]
    missed: dict[str, int]
    mistaken: dict[str, int]
    miscoloured: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)


def evaluation_file(name: str) -> Path:
    """A file of the fixed evaluation."""
    return Path(str(resources.files("gesso_plugins.starter") / "evaluation" / name))


def make_prompts(source: CaptionedSource, materials: Sequence[str], count: int = COUNT) -> list[Prompt]:
    """Every material equally often, with colours as the source draws them; half of the texts have a frame of words around them."""
    prompts = []
    for i in range(count):
        rng = np.random.default_rng([5, i])
        material = materials[i % len(materials)]
        colour = source.sample(rng, 16, [material]).labels["colour"]
        words = f"{colour} {material.replace('_', ' ')}"
        text = (words, f"seamless texture of {words}", words, f"tileable {words}")[i // len(materials) % 4]
        prompts.append(Prompt(text, material, colour, FIRST_SEED + i))
    return prompts


def save_prompts(path: Path, prompts: Sequence[Prompt]) -> None:
    """Fix the prompts in a file."""
    write_json(path, [asdict(prompt) for prompt in prompts])


def load_prompts(path: Path) -> list[Prompt]:
    """Read the prompts."""
    return [Prompt(**values) for values in read_json(path)]


def wrap_ratio(images: Images) -> float:
    """The mean step across the tile's border over the mean step inside: one where nothing marks the border."""
    values = images.astype(np.float32)
    inside = (np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=2)).mean()) / 2
    border = (np.abs(values[:, 0] - values[:, -1]).mean() + np.abs(values[:, :, 0] - values[:, :, -1]).mean()) / 2
    return float(border / max(inside, 1e-6))


def halved(images: Images) -> Images:
    """(N, S, S, 3) at half the size, each pixel the mean of four."""
    count, side = images.shape[:2]
    return np.asarray(np.round(images.reshape(count, side // 2, 2, side // 2, 2, 3).mean((2, 4))), np.uint8)


def render_prompts(source: PromptedSource, prompts: Sequence[Prompt], size: int = 128) -> Images:
    """Renders (N, size, size, 3) of what the prompts ask for, from seeds that no generated picture has."""
    return np.stack([source.picture(prompt.text, size, prompt.seed + JUDGE_SEEDS) for prompt in prompts])


def measure(prompts: Sequence[Prompt], images: Images, judge: Judge, shown: Images | None = None) -> Report:
    """Compare what was asked with what the judge sees: the pictures, or `shown` in their place."""
    verdict = judge.judge(images if shown is None else shown)
    seen = [(judge.materials[m], judge.colours[c]) for m, c in zip(verdict.materials, verdict.colours, strict=True)]
    material = np.array([prompt.material == name for prompt, (name, _) in zip(prompts, seen, strict=True)])
    colour = np.array([prompt.colour == name for prompt, (_, name) in zip(prompts, seen, strict=True)])
    missed = Counter(prompt.material for prompt, right in zip(prompts, material, strict=True) if not right)
    mistaken = Counter(
        f"{prompt.material} -> {name}" for prompt, (name, _), right in zip(prompts, seen, material, strict=True) if not right
    )
    return Report(
        len(prompts),
        float(material.mean()),
        float(colour.mean()),
        float((material & colour).mean()),
        wrap_ratio(images),
        dict(Counter(prompt.material for prompt in prompts)),
        dict(missed.most_common()),
        dict(mistaken.most_common(25)),
        dict(Counter(prompt.material for prompt, right in zip(prompts, colour, strict=True) if not right).most_common()),
    )


def evaluate(generate: Generate, prompts: Sequence[Prompt], judge: Judge) -> tuple[Report, Images]:
    """Make the pictures of all prompts and judge them, small ones enlarged."""
    images = generate([prompt.text for prompt in prompts], [prompt.seed for prompt in prompts])
    return measure(prompts, images, judge, enlarged(images)), images
