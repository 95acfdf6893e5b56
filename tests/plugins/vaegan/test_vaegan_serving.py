"""A VAE-GAN with random weights behind `generate`: in the real engine, and from `gesso models add` to a daemon's picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesso.cli import main
from gesso.client import Client
from gesso.engine import Progress
from gesso.errors import InvalidRequest
from gesso.manifest import ModelEntry
from gesso.math import initial_noise
from gesso.media.seam import seams
from gesso.testing import Studio
from gesso_plugins.vaegan.family import VaeganFamily, VaeganModel
from gesso_plugins.vaegan.networks import TURNS, Places, waves

ASKED = {"prompt": "red rows", "model": "vaegan", "seed": 5}


@pytest.fixture
def drawing(studio: Studio, untrained: Path) -> Callable[..., Any]:
    studio.add("vaegan", untrained, "vaegan")
    return lambda **more: studio.make("generate", {**ASKED, **more})


def test_a_seed_is_its_bytes_and_words_are_heard(drawing: Callable[..., Any]) -> None:
    made = drawing(count=3)
    assert [output.pixels.shape for output in made.outputs] == [(16, 16, 3)] * 3
    assert [event.image for event in made.events if isinstance(event, Progress) and event.fraction == 1] == [0, 1, 2]
    (alone,) = drawing(seed=6).outputs
    assert alone.pixels.tobytes() == made.outputs[1].pixels.tobytes()
    assert alone.pixels.tobytes() != made.outputs[0].pixels.tobytes()
    (other,) = drawing(seed=6, prompt="blue columns").outputs
    assert other.pixels.tobytes() != alone.pixels.tobytes()
    assert drawing(bits=16).outputs[0].pixels.dtype == np.uint16


def test_it_wraps_where_it_is_asked_to(drawing: Callable[..., Any]) -> None:
    for tile, axes in (("xy", {"x", "y"}), ("x", {"x"})):
        (output,) = drawing(tile=tile, width=64, height=64).outputs
        measured = output.info["measured"]["seam"]
        assert set(measured) == axes
        assert all(fit["ratio"] < 1.5 for fit in measured.values()), measured
    plain = drawing(width=64, height=64).outputs[0].pixels
    assert plain.tobytes() != drawing(width=64, height=64, tile="xy").outputs[0].pixels.tobytes()
    assert set(seams(plain, "xy")) == {"x", "y"}


def test_a_seed_rolled_by_a_period_is_a_rolled_tile(untrained: Path) -> None:
    """Exactly what seamless means: no layer looks at the border. Rolled by less, it lies elsewhere, and the generator knows."""
    from gesso.model import Seamless

    family = VaeganFamily()
    model = family.load(family.inspect(ModelEntry("v", "vaegan", "V", untrained, ())), torch.device("cpu"))
    words = model.encode_text(["red rows"])[0].pooled
    assert words is not None
    noise = initial_noise((1, 4, 8, 12), 3)  # two periods of four places by three
    seeds = (noise, noise.roll((4, 8), (2, 3)), noise.roll((1, 0), (2, 3)))
    latents = [torch.cat([seed, words[:, :, None, None].expand(-1, -1, 8, 12)], 1) for seed in seeds]
    with model.patched((Seamless(x=True, y=True),)):
        straight, rolled, between = (model.decode(latent) for latent in latents)
    assert straight.shape == (1, 3, 32, 48)
    assert torch.allclose(straight.roll((16, 32), (2, 3)), rolled, atol=1e-5)
    assert not torch.allclose(straight.roll((4, 0), (2, 3)), between, atol=1e-3)
    assert not torch.allclose(model.decode(latents[0]), straight, atol=1e-5)  # and the padding is gone again


@pytest.mark.parametrize("size", [8, 10, 5, 24])
def test_what_tells_places_closes_at_the_border_of_any_size(size: int) -> None:
    """The distance from a place to the one before it is the same everywhere, across the border too."""
    told, turns = waves(size, 8, 3), torch.arange(1, 4)
    assert told.shape == (7, size)
    step = (told - told.roll(1, 1)).square().sum(0)
    angle = 2 * torch.pi * max(1, round(size / 8)) / size
    assert torch.allclose(step, (8 * torch.sin(angle * turns / 2) ** 2).sum().expand_as(step), atol=1e-5)


def test_features_of_places_are_sums_of_products_of_waves() -> None:
    torch.manual_seed(1)
    places = Places(2, 8)
    products = torch.einsum("ih,jw->ijhw", waves(16, 8, 3), waves(8, 8, 3))
    wanted = (places.weight[:, :, :, None, None] * products).sum((1, 2))
    assert torch.allclose(places(16, 8)[0], wanted, atol=1e-5)
    assert torch.allclose(places(16, 8).roll(8, 2), places(16, 8), atol=1e-5)
    assert Places(2, 64).weight.shape == (2, 1 + 2 * TURNS, 1 + 2 * TURNS)


def test_rows_of_several_pictures_share_a_forward_and_none_changes(
    registry: Any, untrained: Path, drawing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    whole = VaeganModel.decode

    def decode(model: VaeganModel, latents: torch.Tensor) -> torch.Tensor:
        rows.append(len(latents))
        return whole(model, latents)

    monkeypatch.setattr(VaeganModel, "decode", decode)
    alone = [output.pixels for output in drawing(count=16).outputs]
    assert set(rows) == {1}
    rows.clear()
    fast = Studio(registry, "fast")
    together = [output.pixels for output in fast.make("generate", {**ASKED, "count": 16}).outputs]
    fast.close()
    assert max(rows) > 1
    assert sum(rows) == 16
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_the_best_of_several_is_kept(drawing: Callable[..., Any]) -> None:
    every = [output.pixels.tobytes() for output in drawing(count=4).outputs]
    (best,) = drawing(best_of=4, score={"sharpness": 1.0}).outputs
    assert best.pixels.tobytes() in every


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"width": 18}, "in steps of 4"),
        ({"strength": 0.5}, "takes no strength"),
        ({"best_of": 4, "prune": [0.5]}, "no picture on its way"),
        ({"prompt": " "}, "prompt is empty"),
    ],
)
def test_what_it_cannot_do_is_a_sentence(drawing: Callable[..., Any], more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        drawing(**more)


def test_steps_are_dropped_with_a_warning(drawing: Callable[..., Any]) -> None:
    made = drawing(steps=9, negative="blue")
    assert any("does not use steps, negative" in warning for warning in made.warnings)
    assert made.params.steps is None


def test_a_material_is_made_with_it(studio: Studio, drawing: Callable[..., Any]) -> None:
    outputs = studio.make("texture", {**ASKED, "width": 32, "height": 32}).outputs
    assert {output.role for output in outputs} >= {"base_color", "height"}


def test_a_file_is_taken_in_and_a_daemon_draws_with_it(
    in_process_daemon: Callable[..., Client], untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = in_process_daemon()
    assert main(["models", "add", str(untrained), "--name", "drawn"]) == 0
    capsys.readouterr()
    assert main(["models", "info", "drawn", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["title"], told["family"], told["kind"], told["layout"]) == ("VAE-GAN", "vaegan", "checkpoint", "vaegan")
    assert told["capabilities"] == ["encode_text", "draw", "decode"]
    pixels = []
    for _ in range(2):
        job = client.submit("generate", {"prompt": "red rows", "model": "drawn", "seed": 3, "width": 32, "height": 32, "tile": "xy"})
        (result,) = job.result().images
        pixels.append(result.read())
    assert pixels[0] == pixels[1]
    assert pixels[0].startswith(b"\x89PNG")
