"""Folders of small pictures, and a tiny diffusion model with random weights that learns from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gesso.manifest import first_party
from gesso.plugin import Registry, build_plugins
from gesso_plugins.learning.base import Base, load_base
from gesso_plugins.learning.config import FinetuneConfig
from gesso_plugins.learning.recipe import Recipe

CPU = torch.device("cpu")


def picture(seed: int, width: int = 32, height: int = 32) -> Image.Image:
    """Red and yellow stripes that no other seed has."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 200 + rng.integers(50)
    pixels[..., 1] = np.where((np.arange(width) + rng.integers(8)) % 8 < 4, 30, 210)
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(4):
        picture(seed).save(folder / f"{seed}.png")
        (folder / f"{seed}.txt").write_text("striped\n")
    return folder


@pytest.fixture(scope="session")
def base(pipelines: Callable[[str], Path]) -> Callable[[str], Base]:
    """A tiny model by what its network predicts."""
    registry: Registry = build_plugins(first_party())
    return lambda prediction: load_base(str(pipelines(prediction)), registry, (), CPU)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(steps=6, rank=2, alpha=2.0, learning_rate=5e-3, warmup=2, batch=2)


@pytest.fixture
def config(recipe: Recipe, tmp_path: Path) -> FinetuneConfig:
    return FinetuneConfig(out=tmp_path / "run", recipe=recipe, log_every=2, sheet_every=1000, validate_every=2)
