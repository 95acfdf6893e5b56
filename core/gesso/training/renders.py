"""Captioned renders on disk, in shards: drawn once from a source, by seed, in universes that share no sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from gesso.plugin.datasets import CaptionedSource
from gesso.training.files import write_atomically


class Universe(IntEnum):
    """Disjoint families of seeds: what one is trained on, another never sees."""

    TRAIN = 1
    VALIDATION = 2
    CLASSIFIER = 3
    CLASSIFIER_TEST = 4
    PROMPTS = 5
    AUTOENCODER = 6


@dataclass(frozen=True)
class Shard:
    """Some renders: images uint8 (N, S, S, 3), their captions and labels."""

    images: npt.NDArray[np.uint8]
    captions: list[str]
    labels: list[Mapping[str, str]]


Materials = Sequence[str] | None


@dataclass(frozen=True)
class Request:
    """Which sample: its universe and size, and of which materials (None: of all)."""

    universe: Universe
    size: int
    materials: Materials = None


def draw(source: CaptionedSource, request: Request, seed: int, index: int) -> tuple[npt.NDArray[np.uint8], str, dict[str, str]]:
    """Sample `index` of a universe: the same whenever and wherever it is drawn."""
    rng = np.random.default_rng([seed, int(request.universe), request.size, index])
    sample = source.sample(rng, request.size, request.materials)
    return np.ascontiguousarray(sample.image), sample.caption, dict(sample.labels)


class RenderStore:
    """A folder of shards; a shard is complete or absent."""

    def __init__(self, folder: Path, seed: int, shard: int) -> None:
        self.folder = folder
        self.seed = seed
        self.shard = shard

    def path(self, universe: Universe, size: int, number: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"{universe.name.lower()}-{size}" / f"{number:05d}.safetensors"

    def shards(self, universe: Universe, size: int) -> int:
        """How many shards are there, counted without a gap."""
        number = 0
        while self.path(universe, size, number).exists():
            number += 1
        return number

    def render_shard(self, source: CaptionedSource, request: Request, number: int) -> None:
        """Draw one shard."""
        rows = [draw(source, request, self.seed, number * self.shard + i) for i in range(self.shard)]
        images = np.stack([row[0] for row in rows])
        metadata = {"captions": json.dumps([row[1] for row in rows]), "labels": json.dumps([row[2] for row in rows])}
        write_atomically(self.path(request.universe, request.size, number), lambda path: save_file({"images": images}, path, metadata))

    def ensure(self, source: CaptionedSource, request: Request, count: int) -> None:
        """Draw what is missing of the first `count` samples."""
        for number in range(-(-count // self.shard)):
            if not self.path(request.universe, request.size, number).exists():
                self.render_shard(source, request, number)

    def load(self, universe: Universe, size: int, number: int) -> Shard:
        """Read one shard."""
        with safe_open(self.path(universe, size, number), framework="numpy") as file:
            metadata = file.metadata()
            return Shard(file.get_tensor("images"), json.loads(metadata["captions"]), json.loads(metadata["labels"]))

    def labels(self, universe: Universe, size: int, number: int) -> list[Mapping[str, str]]:
        """The labels of a shard alone."""
        with safe_open(self.path(universe, size, number), framework="numpy") as file:
            found: list[Mapping[str, str]] = json.loads(file.metadata()["labels"])
        return found

    def images(self, universe: Universe, size: int, count: int) -> npt.NDArray[np.uint8]:
        """The first `count` images of a universe."""
        shards = -(-count // self.shard)
        return np.concatenate([self.load(universe, size, number).images for number in range(shards)])[:count]
