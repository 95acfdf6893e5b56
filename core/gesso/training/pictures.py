"""A folder of pictures with their words as a source of training samples, in the place of renders."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from gesso.errors import DataError
from gesso.media import images
from gesso.plugin.datasets import CaptionedSource
from gesso.training.folders import captioned, read_each

Picture = npt.NDArray[np.uint8]
LEAST = 0.7
"""The side of the smallest square that is cut out, as a share of the picture's shorter side."""
KEPT, COUNT = 256, 2048
"""Pixels of the shorter side that pictures are kept with in memory, and how many of them."""


@dataclass(frozen=True)
class Cut:
    """A square of a picture, its words, and the words again as what it shows."""

    image: Picture
    caption: str
    labels: dict[str, str]


@dataclass(frozen=True)
class FolderSource:
    """`gesso.plugin.datasets.CaptionedSource` of a folder. Pictures need not close at their borders, so nobody may roll or wrap them."""

    entries: tuple[tuple[Path, str], ...]
    name: str
    tiles: ClassVar[bool] = False

    @staticmethod
    def of(folder: Path, prompt: str | None) -> FolderSource:
        """The pictures of a folder, each read once; ``prompt``: the words of every one. DataError says which of them cannot be used."""
        entries = tuple(captioned(folder, prompt))
        _read.cache_clear()
        read_each([(path.name, functools.partial(_readable, path)) for path, _ in entries], str(folder))
        if len(entries) < 2:
            raise DataError(f"The pictures of {folder} are too few: there is one.", field="data", hint="Give two or more.")
        return FolderSource(entries, str(folder))

    @property
    def materials(self) -> tuple[str, ...]:
        """What they are said to show: their words."""
        return tuple(dict.fromkeys(words for _, words in self.entries))

    def sample(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> Cut:
        """A square of any of them, from anywhere in it and of at least seven tenths of it, every second time mirrored. ``materials``: only
        pictures with these words.
        """
        among = [entry for entry in self.entries if entry[1] in materials] if materials else self.entries
        path, words = among[int(rng.integers(len(among)))]
        picture = _read(path)
        height, width = picture.shape[:2]
        side = round(min(height, width) * rng.uniform(LEAST, 1))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        square = picture[top : top + side, left : left + side]
        made = np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.LANCZOS))
        return Cut(made[:, ::-1] if rng.random() < 0.5 else made, words, {"material": words, "colour": ""})


def chosen(options: argparse.Namespace, renders: CaptionedSource) -> CaptionedSource:
    """The folder that `--data` names, else the renders."""
    return renders if options.data is None else FolderSource.of(options.data, options.prompt)


def _readable(path: Path) -> bool:
    """Whether a picture can be read; it raises where it cannot, and keeps none beyond those that `_read` keeps."""
    return _read(path).size > 0


@functools.lru_cache(maxsize=COUNT)
def _read(path: Path) -> Picture:
    """A picture, made smaller where it is large."""
    pixels: Picture = images.quantised(images.decode(path.read_bytes(), "picture"), 8)
    image = Image.fromarray(pixels)
    if min(image.size) > KEPT:
        scale = KEPT / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    return np.asarray(image)
