"""The recogniser learns what latents show, and tells the denoiser of its guesses: only where it was told, at levels that matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

pytest.importorskip("diffusers")

from gesso_plugins.starter.config import DiffusionConfig, RecogniserConfig
from gesso_plugins.starter.latents import LatentSet
from gesso_plugins.starter.recogniser import Guess, Recogniser, load_recogniser, recognition_loss, save_recogniser, train_recogniser
from gesso_plugins.starter.schedule import NoiseSchedule

CONFIG = RecogniserConfig(widths=(8, 16, 16), steps=60, batch=32)
LEVELS = NoiseSchedule(DiffusionConfig())
LABELS = [{"material": material, "colour": colour} for material in ("stripes", "plain") for colour in ("red", "blue")]
CHANNELS, SIDE = 4, 8


def latents_of(label: dict[str, str]) -> torch.Tensor:
    """Rows of changing sign or none, in the first channel; the colour is the mean of the second."""
    x = torch.zeros(CHANNELS, SIDE, SIDE)
    if label["material"] == "stripes":
        x[0] = torch.tensor([2.0, -2.0]).repeat(SIDE // 2)[:, None]
    x[1] = 1.5 if label["colour"] == "red" else -1.5
    return x


class Known:
    """As much of a `LatentSet` as the recogniser asks for."""

    channels, side, labels = CHANNELS, SIDE, LABELS * 8

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Sequence[int], shifts: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [torch.roll(latents_of(self.labels[i]), shift, (1, 2)) for i, shift in zip(index, shifts, strict=True)]
        return torch.stack(rows), torch.zeros(len(index), 4)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return train_recogniser(cast(LatentSet, Known()), LEVELS, CONFIG, 1, lambda text: None)


def guess(clean: torch.Tensor, sigma: float = 2.0, *, told: bool = True, labels: Sequence[dict[str, str]] = LABELS) -> Guess:
    count = len(clean)
    return Guess(clean, torch.full((count,), math.log(sigma)), labels, torch.full((count,), told))


def loss(recogniser: Recogniser, asked: Guess) -> float:
    torch.manual_seed(0)
    return float(recognition_loss(recogniser, asked, LEVELS, CONFIG))


def test_it_names_material_and_colour_through_noise(recogniser: Recogniser) -> None:
    clean, level = torch.stack([latents_of(label) for label in LABELS]), torch.full((4,), math.log(0.5))
    torch.manual_seed(3)
    noisy = LEVELS.noisy(clean, torch.randn_like(clean), LEVELS.timesteps(level))[0]
    for kind, logits in zip(("material", "colour"), recogniser(noisy, level), strict=True):
        assert [recogniser.names[kind][i] for i in logits.argmax(1)] == [label[kind] for label in LABELS]


def test_a_guess_that_shows_what_was_asked_costs_less(recogniser: Recogniser) -> None:
    right = torch.stack([latents_of(label) for label in LABELS])
    assert loss(recogniser, guess(right)) < 0.5 * loss(recogniser, guess(right.flip(0)))


def test_the_guess_hears_of_it(recogniser: Recogniser) -> None:
    clean = torch.zeros(4, CHANNELS, SIDE, SIDE, requires_grad=True)
    recognition_loss(recogniser, guess(clean), LEVELS, CONFIG).backward()  # type: ignore[no-untyped-call]
    assert clean.grad is not None
    assert bool((clean.grad.flatten(1).norm(dim=1) > 0).all())
    assert not any(parameter.requires_grad for parameter in recogniser.parameters())


@pytest.mark.parametrize("silent", [{"told": False}, {"sigma": 0.2}, {"sigma": 30.0}])
def test_rows_that_were_told_nothing_or_see_too_much_or_too_little_cost_nothing(recogniser: Recogniser, silent: dict[str, float]) -> None:
    wrong = torch.stack([latents_of(label) for label in LABELS]).flip(0)
    assert loss(recogniser, guess(wrong)) > 0
    assert loss(recogniser, replace(guess(wrong), **vars(guess(wrong, **silent)))) == 0  # type: ignore[arg-type]


def test_what_has_no_class_costs_nothing(recogniser: Recogniser) -> None:
    strange = [{"material": "cork", "colour": "mauve"}] * 4
    assert loss(recogniser, guess(torch.zeros(4, CHANNELS, SIDE, SIDE), labels=strange)) == 0


def test_it_is_kept_and_read_back(recogniser: Recogniser, tmp_path: Path) -> None:
    save_recogniser(tmp_path / "it.safetensors", recogniser)
    again = load_recogniser(tmp_path / "it.safetensors", CHANNELS, CONFIG)
    assert again.names == recogniser.names
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), recogniser.state_dict().values(), strict=True))


def test_the_clean_latents_are_those_that_the_velocity_means() -> None:
    torch.manual_seed(0)
    clean, noise, time = torch.randn(6, 4, 8, 8), torch.randn(6, 4, 8, 8), torch.tensor([0, 100, 300, 500, 800, 999])
    noisy, velocity = LEVELS.noisy(clean, noise, time)
    torch.testing.assert_close(LEVELS.clean(noisy, velocity, time), clean, rtol=1e-4, atol=1e-4)
