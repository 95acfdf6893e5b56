"""Tiny VAE-GANs: a configuration that trains in seconds, and a file with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gesso.training.tokenizer import train_tokenizer
from gesso_plugins.vaegan.config import DataConfig, LossConfig, NetworkConfig, VaeganConfig, WatchConfig
from gesso_plugins.vaegan.storage import FILE, Painter

TINY = NetworkConfig(
    image=16,
    vocabulary=600,
    length=8,
    text_width=16,
    text_layers=1,
    text_heads=2,
    words=8,
    latent=4,
    generator=(16, 8),
    encoder=(8, 8),
    critic=(8, 8),
)
CAPTIONS = [f"{colour} {material}" for colour in ("red", "green", "blue") for material in ("rows", "columns")]


def tiny(out: Path, steps: int, adversary: str = "bce") -> VaeganConfig:
    assert adversary in ("bce", "wasserstein")
    data = DataConfig(materials=("rows", "columns"), layouts=0, captions=40, minimum=64, shard=32, workers=0)
    watch = WatchConfig(every=1000, prompts=4, seeds=3)
    return VaeganConfig(
        out=out, steps=steps, batch=8, warmup=2, ema=0.9, network=TINY, data=data, loss=LossConfig(adversary=adversary), watch=watch
    )


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of networks that learned nothing, as random as they begin."""
    torch.manual_seed(11)
    networks = Painter.new(TINY, train_tokenizer(CAPTIONS, vocabulary=TINY.vocabulary, length=TINY.length))
    path = tmp_path_factory.mktemp("vaegan") / "vaegan.safetensors"
    FILE.save(path, networks, {"step": 3, "diversity": 0.5})
    return path
