"""The style network's training on a tiny configuration: its media tell themselves apart, its losses fall, it resumes exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gesso.media.lab import from_lab, to_lab
from gesso.training.checkpoint import load_checkpoint
from gesso_plugins.style.colour import reinhard
from gesso_plugins.style.learning import command
from gesso_plugins.style.learning.config import DataConfig, StyleConfig
from gesso_plugins.style.learning.paintings import MEDIA, painting
from gesso_plugins.style.learning.scenes import scene
from gesso_plugins.style.learning.train import Training, train_style
from gesso_plugins.style.network import BUDGET, StyleNetwork, exchanged, load_network, save_network, statistics

pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass(frozen=True)
class Drawn:
    image: npt.NDArray[np.uint8]
    caption: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Checks:
    """Checks of two colours."""

    name = "checks"

    def sample(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> Drawn:
        y, x = np.mgrid[:size, :size] // int(rng.integers(2, 9)) % 2
        return Drawn(np.where((x ^ y)[..., None], rng.integers(0, 256, 3), rng.integers(0, 256, 3)).astype(np.uint8))


def tiny(out: Path, steps: int) -> StyleConfig:
    data = DataConfig(size=32, crop=24, count=16, renders=8, shard=8)
    return StyleConfig(out=out, feature_steps=3, steps=steps, batch=4, warmup=2, ema=0.9, log_every=2, sheet_every=100, data=data)


def test_a_run_broken_midway_equals_an_unbroken_one(tmp_path: Path) -> None:
    train_style(Checks(), tiny(tmp_path / "whole", 6))
    broken = Training(Checks(), tiny(tmp_path / "broken", 6))
    with broken.run.opened():
        broken.prepare()
        broken.run.loop(broken._one_step, (), 4)
        broken.save()
    path = train_style(Checks(), tiny(tmp_path / "broken", 6))
    whole, again = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "broken"))
    assert whole is not None
    assert again is not None
    assert all(torch.equal(value, whole.tensors[name]) for name, value in again.tensors.items())
    network = load_network(path)
    assert any(float((network.encoder.get_buffer(f"spread{level}") - 1).abs().max()) > 0.01 for level in range(4))


def test_the_recipe_fits_its_budget(tmp_path: Path) -> None:
    assert save_network(tmp_path / "style.safetensors", StyleNetwork(), {}) < BUDGET


def test_every_medium_paints_and_repeats_itself() -> None:
    rng = np.random.default_rng(4)
    picture = scene(rng, np.stack([Checks().sample(rng, 48).image for _ in range(4)]))
    for name, medium in MEDIA.items():
        first, again = (medium(picture, np.random.default_rng(9)).clip(0, 1) for _ in range(2))
        assert np.array_equal(first, again), name
        assert first.shape == picture.shape
        assert np.isfinite(first).all()
        assert np.abs(first - picture).mean() > 0.02, name
    assert painting(picture, np.random.default_rng(1))[1] in MEDIA


def test_exchanged_statistics_are_those_wanted() -> None:
    features, other = torch.randn(1, 5, 12, 12) * 3 + 1, torch.randn(1, 5, 9, 7) - 2
    made = statistics(exchanged(features, statistics(features), statistics(other)))
    wanted = statistics(other)
    assert torch.allclose(made.mean, wanted.mean, atol=1e-4)
    assert torch.allclose(made.deviation, wanted.deviation, rtol=1e-3)


def test_colours_are_those_of_the_standard() -> None:
    known = (((1, 1, 1), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((1, 0, 0), (54.29, 80.80, 69.89)), ((0, 0, 1), (29.57, 68.30, -112.03)))
    for rgb, lab in known:
        assert np.abs(to_lab(np.array(rgb, np.float32)) - lab).max() < 0.1
    picture = np.random.default_rng(0).random((9, 9, 3)).astype(np.float32)
    assert np.abs(from_lab(to_lab(picture)) - picture).max() < 1e-3
    moved = to_lab(reinhard(picture * 0.2 + 0.4, picture * 0.3 + 0.3))
    assert np.abs(moved.mean((0, 1)) - to_lab(picture * 0.3 + 0.3).mean((0, 1))).max() < 0.5


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.train(["--out", str(tmp_path), "--steps", "10", "--feature-steps", "10"], Checks())
    assert "--feature-steps" in capsys.readouterr().err
