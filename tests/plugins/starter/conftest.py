"""A source of two plain materials in three colours, and a training configuration that takes a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from gesso_plugins.starter.config import AutoencoderConfig, DataConfig, DiffusionConfig, TextConfig, TrainConfig, UnetConfig

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200)}


@dataclass(frozen=True)
class Picture:
    image: npt.NDArray[np.uint8]
    caption: str
    labels: Mapping[str, str]


class Stripes:
    """Rows and columns."""

    name = "stripes"
    materials = ("rows", "columns")
    colours = tuple(COLOURS)

    def sample(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> Picture:
        material = str(rng.choice(list(materials or self.materials)))
        colour = str(rng.choice(list(COLOURS)))
        wave = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(size) / size + rng.uniform(0, 6))
        plane = np.broadcast_to(wave[:, None] if material == "rows" else wave[None, :], (size, size))
        image = (plane[..., None] * np.array(COLOURS[colour])).astype(np.uint8)
        return Picture(image, f"{colour} {material}", {"material": material, "colour": colour})


def tiny_config(out: Path, steps: int) -> TrainConfig:
    return TrainConfig(
        out=out,
        max_steps=steps,
        log_every=2,
        validate_every=4,
        text=TextConfig(vocabulary=620, length=16, width=32, layers=1, heads=2, captions=40),
        autoencoder=AutoencoderConfig(channels=(8, 8, 16, 16), steps=2, batch=2),
        unet=UnetConfig(channels=(16, 32), heads=2),
        diffusion=DiffusionConfig(batch=8, crop=4, warmup=2),
        data=DataConfig(
            materials=(), size=64, small_size=32, minimum=16, shard=8, autoencoder_small=8, autoencoder_large=8, validation=8, workers=0
        ),
    )


@pytest.fixture(scope="session")
def stripes() -> Stripes:
    return Stripes()


@pytest.fixture(scope="session")
def tiny() -> Callable[[Path, int], TrainConfig]:
    return tiny_config
