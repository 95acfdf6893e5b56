"""What a model is measured by: pictures, captions and, where the source knows them, labels. It makes nothing and scores nothing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gesso.errors import DataError, UsageError
from gesso.media import images
from gesso.plugin.datasets import CaptionedSource, PromptedSource
from gesso.plugin.judging import FixedPrompt
from gesso.training.folders import captioned, read_each
from gesso.training.renders import Request, Universe, draw

Picture = npt.NDArray[np.uint8]
APART = 1_000_000
"""How far the seeds of renders of fixed prompts lie from those of the prompts."""
SEED = 20_270
"""Of the renders: no training and no judge has drawn from it."""


@dataclass(frozen=True)
class Data:
    """Pictures (H, W, 3) of any sizes, and the captions that are asked for, the pictures' own in turn. labels: what each picture shows,
    where the source says so. seeds: of what is made of each caption, where they are fixed.
    """

    name: str
    pictures: Sequence[Picture]
    captions: Sequence[str]
    labels: Sequence[Mapping[str, str]] = field(default=())
    seeds: Sequence[int] = field(default=())


def from_folder(folder: Path, prompt: str | None, count: int | None) -> Data:
    """The pictures of a folder; of more than ``count``, so many at equal distances. Captions start over where more are asked for."""
    found = captioned(folder, prompt)
    wanted = len(found) if count is None else count
    if len(found) > wanted:
        found = [found[place * len(found) // wanted] for place in range(wanted)]
    pictures = read_each([(path.name, partial(_read, path)) for path, _ in found], str(folder))
    if len(pictures) < 2:
        raise DataError(f"The pictures of {folder} are too few: there is one.", field="data", hint="Give two or more: one has no spread.")
    words = itertools.islice(itertools.cycle(caption for _, caption in found), wanted)
    return Data(str(folder), pictures, tuple(words))


def from_source(source: CaptionedSource, materials: Sequence[str], size: int, count: int) -> Data:
    """Renders that nobody was trained on, every material equally often."""
    known = tuple(getattr(source, "materials", materials))
    unknown = [name for name in materials if name not in known]
    if unknown:
        raise UsageError(f"{source.name!r} has no material {unknown[0]!r}; it has {', '.join(known)}.", field="materials")
    rows = [draw(source, Request(Universe.PROMPTS, size, (materials[i % len(materials)],)), SEED, i) for i in range(count)]
    return Data(source.name, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def from_prompts(source: CaptionedSource, prompts: Sequence[FixedPrompt], size: int) -> Data:
    """What a judge's fixed prompts ask for, as the source draws it from other seeds than theirs."""
    if not isinstance(source, PromptedSource):
        raise UsageError(f"{source.name!r} draws no picture of a prompt, so that nothing could be held against it.", field="fixed")
    if len(prompts) < 2:
        raise UsageError("Fewer than two of the fixed prompts ask for these materials.", field="materials")
    pictures = [source.picture(each.words, size, each.seed + APART) for each in prompts]
    words, seeds = [each.words for each in prompts], [each.seed for each in prompts]
    return Data(f"{source.name}, fixed prompts", pictures, words, [each.labels for each in prompts], seeds)


def _read(path: Path) -> Picture:
    pixels: Picture = images.quantised(images.decode(path.read_bytes(), "picture"), 8)
    return pixels
