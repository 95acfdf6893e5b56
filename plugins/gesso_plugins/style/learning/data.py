"""Scenes and their paintings on disk, in shards: drawn once, by seed, from renders of materials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file

from gesso.plugin.datasets import CaptionedSource
from gesso.training.files import write_atomically
from gesso.training.renders import RenderStore, Request, Universe
from gesso_plugins.style.learning.config import DataConfig
from gesso_plugins.style.learning.paintings import MEDIA, painting
from gesso_plugins.style.learning.scenes import scene

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """Scenes and a painting of each (N, S, S, 3), and the number of its medium (N)."""

    scenes: Bytes
    paintings: Bytes
    media: npt.NDArray[np.int64]


class PaintingStore:
    """A folder of shards of one seed; a shard is complete or absent."""

    def __init__(self, folder: Path, seed: int, config: DataConfig) -> None:
        self.folder = folder
        self.seed = seed
        self.config = config

    def ensure(self, source: CaptionedSource, universe: Universe, count: int, say: Callable[[str], None]) -> Pictures:
        """The first ``count`` scenes with their paintings; what is missing is drawn."""
        parts = []
        for number in range(-(-count // self.config.shard)):
            path = self.folder / f"{universe.name.lower()}-{self.config.size}" / f"{number:05d}.safetensors"
            if not path.exists():
                say(f"painting {self.config.shard} pictures ({number + 1} of {-(-count // self.config.shard)})")
                self._draw(source, universe, number, path)
            parts.append(load_file(path))
        scenes, paintings, media = (np.concatenate([part[name] for part in parts])[:count] for name in ("scenes", "paintings", "media"))
        return Pictures(scenes, paintings, media)

    def _draw(self, source: CaptionedSource, universe: Universe, number: int, path: Path) -> None:
        renders = RenderStore(self.folder / "renders", self.seed, self.config.shard)
        renders.ensure(source, Request(universe, self.config.size), self.config.renders)
        tiles = renders.images(universe, self.config.size, self.config.renders)
        names = list(MEDIA)
        rows = []
        for index in range(number * self.config.shard, (number + 1) * self.config.shard):
            rng = np.random.default_rng([self.seed, int(universe), self.config.size, index, 91])
            drawn = scene(rng, tiles)
            painted, medium = painting(scene(rng, tiles), rng)
            rows.append((_bytes(drawn), _bytes(painted), names.index(medium)))
        arrays = {
            "scenes": np.stack([row[0] for row in rows]),
            "paintings": np.stack([row[1] for row in rows]),
            "media": np.array([row[2] for row in rows], np.int64),
        }
        write_atomically(path, lambda target: save_file(arrays, target))


def cut(pictures: Bytes, index: npt.NDArray[np.int64], crop: int, rng: np.random.Generator) -> torch.Tensor:
    """Some pictures as floats (N, 3, crop, crop) in [-1, 1]: a random part of each, mirrored and turned at random."""
    room = pictures.shape[1] - crop
    parts = []
    for number in index.tolist():
        y, x = rng.integers(0, room + 1, 2).tolist()
        part = np.rot90(pictures[number, y : y + crop, x : x + crop], int(rng.integers(4)))
        parts.append(part[:, ::-1] if rng.random() < 0.5 else part)
    planes = np.ascontiguousarray(np.stack(parts).transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float().div_(127.5).sub_(1)


def _bytes(picture: npt.NDArray[np.float32]) -> Bytes:
    return np.asarray(np.round(np.clip(picture, 0, 1) * 255), np.uint8)
