"""Tiny models of DALL-E's first kind: a configuration that trains in seconds, and a file with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gesso.training.tokenizer import train_tokenizer
from gesso_plugins.dalle.config import AutoencoderConfig, DalleConfig, DataConfig, NetworkConfig, SheetConfig, TransformerConfig
from gesso_plugins.dalle.storage import FILE, Networks

TINY = NetworkConfig(
    image=16, words=600, length=8, vocabulary=24, channels=(8, 8, 8), bottleneck=2, width=16, layers=4, heads=2, kernel=3
)  # fmt: skip
CAPTIONS = [f"{colour} {material}" for colour in ("red", "green", "blue") for material in ("rows", "columns")]


def tiny(out: Path, steps: int, first: int) -> DalleConfig:
    """A run of so many steps, of which the first are the autoencoder's."""
    data = DataConfig(materials=("rows", "columns"), layouts=0, captions=40, minimum=64, shard=32, workers=0)
    return DalleConfig(
        out=out,
        steps=steps,
        warmup=2,
        ema=0.9,
        network=TINY,
        data=data,
        autoencoder=AutoencoderConfig(steps=first, batch=8, learning_rate=1e-2),
        transformer=TransformerConfig(batch=8),
        sheet=SheetConfig(prompts=3),
    )


def fresh() -> Networks:
    """Networks that learned nothing, wilder than training begins so that words and tokens are heard."""
    torch.manual_seed(11)
    networks = Networks.new(TINY, train_tokenizer(CAPTIONS, vocabulary=TINY.words, length=TINY.length))
    with torch.no_grad():
        for name, value in networks.named_tensors().items():
            if value.ndim > 1 and name.startswith("transformer"):
                value.mul_(8)
    return networks


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of such networks."""
    path = tmp_path_factory.mktemp("dalle") / "dalle.safetensors"
    FILE.save(path, fresh(), {"step": 3, "stage": "transformer"})
    return path
