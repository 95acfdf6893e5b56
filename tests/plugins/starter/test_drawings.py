"""What the denoiser draws itself while it learns: step by step from noise, begun anew when done, kept in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("diffusers")

from gesso_plugins.starter.config import DiffusionConfig, DrawingConfig, TextConfig, UnetConfig
from gesso_plugins.starter.drawings import Drawings
from gesso_plugins.starter.latents import LatentSet
from gesso_plugins.starter.networks import Denoiser, build_unet
from gesso_plugins.starter.schedule import NoiseSchedule

CONFIG = DrawingConfig(count=6)
LEVELS = NoiseSchedule(DiffusionConfig())


class Captions:
    """As much of a `LatentSet` as drawings ask for."""

    channels, side = 4, 8
    labels = tuple({"material": str(i), "colour": "red"} for i in range(5))

    def __len__(self) -> int:
        return len(self.labels)

    def words(self, index: Sequence[int]) -> torch.Tensor:
        return torch.tensor([[i, 0, 0] for i in index])


class Words(nn.Module):
    """Hidden states for token ids."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 32)

    def forward(self, ids: torch.Tensor) -> Any:
        return type("Output", (), {"last_hidden_state": self.table(ids)})


@pytest.fixture(scope="module")
def model() -> Denoiser:
    torch.manual_seed(0)
    unet = build_unet(UnetConfig(channels=(16, 32), heads=2), TextConfig(width=32, heads=2), 4, 8)
    nn.init.normal_(unet.conv_out.weight, std=0.1)
    return Denoiser(unet, Words())


def drawings() -> Drawings:
    return Drawings(cast(LatentSet, Captions()), LEVELS, CONFIG)


def levels_of(made: Drawings) -> torch.Tensor:
    return LEVELS.log_level[made.time]


def test_they_begin_in_noise_and_each_pass_brings_them_a_stride_nearer(model: Denoiser) -> None:
    made, rng = drawings(), np.random.default_rng(0)
    before = torch.full((CONFIG.count,), math.log(CONFIG.start))
    for _ in range(5):
        guess = made.guess(model, rng)
        torch.testing.assert_close(guess.level, before, atol=0.02, rtol=0)
        before = levels_of(made)
        stride = guess.level - before
        assert bool((stride > CONFIG.stride[0] - 0.02).all())
        assert bool((stride < CONFIG.stride[1] + 0.02).all())


def test_a_step_is_ddim_s(model: Denoiser) -> None:
    """Of a noisy x with the guess c, what follows is c under less of the noise that x holds beside c."""
    made, rng = drawings(), np.random.default_rng(0)
    made.guess(model, rng)
    seen, time = made.latents.clone(), made.time.clone()
    clean = made.guess(model, rng).clean.detach()
    alpha, sigma = (values[time][:, None, None, None] for values in (LEVELS.alpha, LEVELS.sigma))
    expected = LEVELS.noisy(clean, (seen - alpha * clean) / sigma, made.time)[0]
    torch.testing.assert_close(made.latents, expected, rtol=1e-3, atol=1e-3)


def test_what_is_done_gives_way_to_another(model: Denoiser) -> None:
    made, rng = drawings(), np.random.default_rng(0)
    made.guess(model, rng)
    made.time[:2] = 0
    kept = made.latents[2:].clone()
    guess = made.guess(model, rng)
    assert bool((guess.level[:2] > math.log(CONFIG.start) - 0.02).all())
    assert bool((guess.level[2:] < math.log(CONFIG.start) - 0.2).all())
    assert not torch.equal(made.latents[2:], kept)
    assert [label["material"] for label in guess.labels] == [str(i) for i in made.caption.tolist()]
    assert bool(guess.told.all())


def test_the_denoiser_hears_of_its_own_pictures_and_the_pictures_carry_no_graph(model: Denoiser) -> None:
    made = drawings()
    made.guess(model, np.random.default_rng(0)).clean.sum().backward()  # type: ignore[no-untyped-call]
    assert float(model.unet.conv_out.weight.grad.norm()) > 0
    assert not made.latents.requires_grad


def test_they_go_on_from_their_tensors(model: Denoiser, tmp_path: Path) -> None:
    one, other = drawings(), drawings()
    one.guess(model, np.random.default_rng(0))
    other.load_tensors({name: value.clone() for name, value in one.tensors().items()})
    first, second = (made.guess(model, np.random.default_rng(1)) for made in (one, other))
    assert torch.equal(first.clean, second.clean)
    other.load_tensors({})
    assert torch.equal(other.latents, one.latents)
