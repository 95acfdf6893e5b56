"""Renders with their maps on disk, in shards: heights in pixels, so that a shard of another size says the same of the same patch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file

from gesso.plugin.datasets import MappedSource
from gesso.training.beside import Alone
from gesso.training.files import write_atomically
from gesso.training.renders import Materials, Universe
from gesso_plugins.texture.maps.network import to_tensor


@dataclass(frozen=True)
class MapsRequest:
    """Which renders: their universe, size and materials."""

    universe: Universe
    size: int
    materials: Materials


@dataclass(frozen=True)
class Truth:
    """Tensors of some renders: pictures (N, 3, S, S) in [-1, 1]; (N, S, S) each: height in pixels, roughness and metalness in 0..1."""

    pictures: torch.Tensor
    height: torch.Tensor
    roughness: torch.Tensor
    metallic: torch.Tensor


class MapsStore:
    """A folder of shards of one seed; a shard is complete or absent."""

    def __init__(self, folder: Path, seed: int, shard: int) -> None:
        self.folder = folder
        self.seed = seed
        self.shard = shard

    def path(self, request: MapsRequest, number: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"{request.universe.name.lower()}-{request.size}" / f"{number:05d}.safetensors"

    def ensure(self, source: MappedSource, request: MapsRequest, count: int, alone: Alone = lambda: False) -> None:
        """Draw what is missing of the first `count` samples, or as much as there is time for."""
        for number in range(-(-count // self.shard)):
            if alone():
                return
            if not self.path(request, number).exists():
                self._draw(source, request, number)

    def load(self, request: MapsRequest, number: int) -> dict[str, npt.NDArray[np.generic]]:
        """Read one shard."""
        arrays: dict[str, npt.NDArray[np.generic]] = load_file(self.path(request, number))
        return arrays

    def shards(self, request: MapsRequest) -> int:
        """How many shards are there, counted without a gap."""
        number = 0
        while self.path(request, number).exists():
            number += 1
        return number

    def _draw(self, source: MappedSource, request: MapsRequest, number: int) -> None:
        samples = []
        for index in range(number * self.shard, (number + 1) * self.shard):
            rng = np.random.default_rng([self.seed, int(request.universe), request.size, index, 70])
            samples.append(source.sample_maps(rng, request.size, request.materials))
        arrays = {
            "images": np.stack([sample.image for sample in samples]),
            "height": np.stack([sample.maps["height"] * request.size for sample in samples]).astype(np.float16),
            "roughness": np.stack([_bytes(sample.maps["roughness"]) for sample in samples]),
            "metallic": np.stack([_bytes(sample.maps["metallic"]) for sample in samples]),
        }
        rows = {name: np.ascontiguousarray(plane) for name, plane in arrays.items()}  # safetensors writes memory as it lies, strides or not
        write_atomically(self.path(request, number), lambda path: save_file(rows, path))


class MapsPool:
    """The shards of a request in memory; grows as they appear."""

    def __init__(self, store: MapsStore, request: MapsRequest) -> None:
        self.store = store
        self.request = request
        self._shards: list[dict[str, npt.NDArray[np.generic]]] = []

    def __len__(self) -> int:
        return len(self._shards) * self.store.shard

    @property
    def shards(self) -> int:
        """How many shards are in memory."""
        return len(self._shards)

    def refresh(self, most: int | None = None) -> None:
        """Take in what has been drawn since, up to `most` shards in all."""
        there = self.store.shards(self.request)
        for number in range(self.shards, there if most is None else min(most, there)):
            self._shards.append(self.store.load(self.request, number))

    def truth(self, index: list[int], shifts: list[tuple[int, int]]) -> Truth:
        """Renders by number, each rolled over the torus by its shift."""
        rows = {
            name: np.stack([np.roll(self._row(name, i), shift, (0, 1)) for i, shift in zip(index, shifts, strict=True)])
            for name in ("images", "height", "roughness", "metallic")
        }
        height, roughness, metallic = (torch.from_numpy(rows[name].astype(np.float32)) for name in ("height", "roughness", "metallic"))
        return Truth(to_tensor(rows["images"].astype(np.uint8)), height, roughness / 255, metallic / 255)

    def _row(self, name: str, index: int) -> npt.NDArray[np.generic]:
        row: npt.NDArray[np.generic] = self._shards[index // self.store.shard][name][index % self.store.shard]
        return row


def grow_maps(source: MappedSource, store: MapsStore, request: MapsRequest, count: int, alone: Alone) -> None:
    """Draw shards beside a training."""
    store.ensure(source, request, count, alone)


def _bytes(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.round(plane * 255).astype(np.uint8)
