"""The decoder's refinement: it resumes exactly, and leaves everything but the decoder as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gesso.plugin.datasets import CaptionedSource
from gesso.training.checkpoint import load_checkpoint
from gesso_plugins.starter.config import DecoderConfig, TrainConfig
from gesso_plugins.starter.decoder import refine_decoder
from gesso_plugins.starter.export import load_pipeline
from gesso_plugins.starter.losses import cell_steps
from gesso_plugins.starter.train import train_starter

Tiny = Callable[[Path, int], TrainConfig]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, stripes: CaptionedSource, tiny: Tiny) -> Path:
    return train_starter(stripes, tiny(tmp_path_factory.mktemp("start"), 1))


def config(tiny: Tiny, out: Path, steps: int) -> TrainConfig:
    return dataclasses.replace(tiny(out, steps), decoder=DecoderConfig(steps=steps))


def test_only_the_decoder_changes(start: Path, tmp_path: Path, stripes: CaptionedSource, tiny: Tiny) -> None:
    """Fails without `requires_grad_(False)` in `Refinement`, or where the encoder is among `Decoding.modules`."""
    before, after = load_pipeline(start), load_pipeline(refine_decoder(stripes, config(tiny, tmp_path, 4), start))
    changed = [name for name, value in after.vae.named_parameters() if not torch.equal(value, before.vae.get_parameter(name))]
    assert changed
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
    for name, value in after.model.named_tensors().items():
        assert torch.equal(value, before.model.named_tensors()[name]), name
    assert after.record["decoder"]["step"] == 4
    assert after.record["step"] == before.record["step"]


def test_a_resumed_refinement_equals_an_unbroken_one(start: Path, tmp_path: Path, stripes: CaptionedSource, tiny: Tiny) -> None:
    unbroken = config(tiny, tmp_path / "unbroken", 4)
    refine_decoder(stripes, unbroken, start)
    broken = config(tiny, tmp_path / "broken", 4)
    refine_decoder(stripes, dataclasses.replace(broken, max_steps=2), start)
    refine_decoder(stripes, broken, start)
    ours, theirs = load_checkpoint(broken.out / "checkpoint"), load_checkpoint(unbroken.out / "checkpoint")
    assert ours is not None
    assert theirs is not None
    assert ours.facts["step"] == theirs.facts["step"] == 4
    for name, value in ours.tensors.items():
        assert torch.equal(value, theirs.tensors[name]), name


def test_cells_that_can_be_seen_are_measured() -> None:
    torch.manual_seed(0)
    noise = torch.rand(2, 3, 64, 64)
    assert torch.allclose(cell_steps(noise), torch.ones(2), atol=0.1)
    patches = noise + torch.rand(2, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    across, down = cell_steps(patches)
    assert min(across, down) > 1.2, "each cell has a brightness of its own"
    stripes = noise + torch.rand(2, 3, 1, 8).repeat_interleave(8, 3)
    across, down = cell_steps(stripes)
    assert across > 1.2
    assert abs(down - 1) < 0.1
