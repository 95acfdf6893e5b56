"""A training configuration that takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gesso_plugins.starter.config import (
    AutoencoderConfig,
    DataConfig,
    DiffusionConfig,
    RecogniserConfig,
    TextConfig,
    TrainConfig,
    UnetConfig,
)


def tiny_config(out: Path, steps: int) -> TrainConfig:
    return TrainConfig(
        out=out,
        max_steps=steps,
        log_every=2,
        validate_every=4,
        text=TextConfig(vocabulary=620, length=16, width=32, layers=1, heads=2, captions=40),
        autoencoder=AutoencoderConfig(channels=(8, 8, 16, 16), steps=2, batch=2),
        unet=UnetConfig(channels=(16, 32), heads=2),
        recogniser=RecogniserConfig(widths=(8, 16, 16), steps=2, batch=4),
        diffusion=DiffusionConfig(batch=8, crop=4, warmup=2),
        data=DataConfig(
            materials=(),
            layouts=0,
            size=64,
            small_size=32,
            minimum=16,
            shard=8,
            autoencoder_small=8,
            autoencoder_large=8,
            validation=8,
            workers=0,
        ),
    )


@pytest.fixture(scope="session")
def tiny() -> Callable[[Path, int], TrainConfig]:
    return tiny_config
