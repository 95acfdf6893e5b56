"""The distillation of the small autoencoder: it learns to show what the large one shows, resumes exactly, and is read by diffusers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

from gesso.plugin.datasets import CaptionedSource
from gesso.training.checkpoint import load_checkpoint
from gesso_plugins.starter.config import PreviewConfig, TrainConfig
from gesso_plugins.starter.export import load_pipeline
from gesso_plugins.starter.preview import build_preview, distil_preview
from gesso_plugins.starter.train import train_starter

Tiny = Callable[[Path, int], TrainConfig]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, stripes: CaptionedSource, tiny: Tiny) -> Path:
    return train_starter(stripes, tiny(tmp_path_factory.mktemp("start"), 1))


def config(tiny: Tiny, out: Path, steps: int) -> TrainConfig:
    small = PreviewConfig(width=8, encoder=(0, 1, 1, 1), decoder=(1, 1, 1, 0), steps=steps, ema=0.5)
    return dataclasses.replace(tiny(out, steps), preview=small)


def shown(network: object, latents: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.decode(latents).sample  # type: ignore[attr-defined, no-any-return]


def test_it_shows_what_the_large_one_shows(start: Path, tmp_path: Path, stripes: CaptionedSource, tiny: Tiny) -> None:
    vae = load_pipeline(start).vae
    rng = torch.Generator().manual_seed(3)
    latents = torch.randn(4, vae.config.latent_channels, 1, 1, generator=rng).expand(-1, -1, 4, 4)
    learned = AutoencoderTiny.from_pretrained(distil_preview(stripes, config(tiny, tmp_path, 60), start), torch_dtype=torch.float32)
    fresh = build_preview(config(tiny, tmp_path, 1).preview, vae.config.latent_channels)
    wanted = shown(vae, latents)
    errors = [float((shown(network, latents) - wanted).abs().mean()) for network in (learned, fresh)]
    assert errors[0] < errors[1] / 2, errors
    assert errors[0] < 0.75 * float(wanted.abs().mean()), "and not because it shows plain grey"
    assert sum(file.stat().st_size for file in (tmp_path / "preview").iterdir()) < 500_000


def test_a_resumed_distillation_equals_an_unbroken_one(start: Path, tmp_path: Path, stripes: CaptionedSource, tiny: Tiny) -> None:
    unbroken = config(tiny, tmp_path / "unbroken", 4)
    distil_preview(stripes, unbroken, start)
    broken = config(tiny, tmp_path / "broken", 4)
    distil_preview(stripes, dataclasses.replace(broken, max_steps=2), start)
    distil_preview(stripes, broken, start)
    ours, theirs = load_checkpoint(broken.out / "checkpoint"), load_checkpoint(unbroken.out / "checkpoint")
    assert ours is not None
    assert theirs is not None
    for name, value in ours.tensors.items():
        assert torch.equal(value, theirs.tensors[name]), name
