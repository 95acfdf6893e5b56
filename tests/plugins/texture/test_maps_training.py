"""The maps network's training on a tiny configuration: it beats brightness taken for height, resumes exactly, starts from another's
weights, and its geometry is the renderer's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gesso.errors import InvalidRequest
from gesso.media import relief
from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import MappedSource
from gesso.training import precision
from gesso.training.checkpoint import load_checkpoint
from gesso.training.renders import Universe
from gesso_plugins.texture.maps import command, losses
from gesso_plugins.texture.maps.augment import augmented, turned_hue
from gesso_plugins.texture.maps.config import AugmentConfig, DataConfig, MapsConfig, NetworkConfig
from gesso_plugins.texture.maps.data import MapsPool, MapsRequest, MapsStore
from gesso_plugins.texture.maps.evaluate import baseline, errors, everything, fit_baseline, predict
from gesso_plugins.texture.maps.network import BUDGET, MapsNetwork, integrate, load_network, load_record, save_network
from gesso_plugins.texture.maps.train import train_maps

EndedAfter = Callable[[int, Callable[[], object]], None]
pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass(frozen=True)
class Mapped:
    image: npt.NDArray[np.uint8]
    caption: str
    labels: Mapping[str, str]
    maps: Mapping[str, npt.NDArray[np.float32]]


class Waves:
    """Ridges lit from the left: their brightness is their slope, and red ones are metal."""

    name = "waves"
    materials = ("waves",)

    def sample_maps(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> Mapped:
        phase, cycles = rng.uniform(0, 6), int(rng.integers(1, 3))
        across = 2 * np.pi * cycles * np.arange(size, dtype=np.float32) / size + phase
        height = np.broadcast_to(0.04 * np.sin(across), (size, size)).astype(np.float32)
        light = np.broadcast_to(0.5 - 0.4 * np.cos(across), (size, size))
        metal = bool(rng.random() < 0.5)
        colour = np.array([1.0, 0.5, 0.5]) if metal else np.array([0.5, 0.5, 1.0])
        image = (light[..., None] * colour * 255).astype(np.uint8)
        planes = {"roughness": 0.2 if metal else 0.8, "metallic": float(metal)}
        maps = {"height": height} | {name: np.full((size, size), value, np.float32) for name, value in planes.items()}
        return Mapped(image, "waves", {"material": "waves"}, maps)


def tiny(out: Path, steps: int) -> MapsConfig:
    data = DataConfig(held_out=(), variety=0, size=32, minimum=64, shard=16, workers=0)
    network = NetworkConfig(channels=(8, 16, 16), groups=4)
    return MapsConfig(out=out, steps=steps, batch=8, warmup=4, ema=0.9, log_every=50, network=network, data=data)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_maps(Waves(), tiny(tmp_path_factory.mktemp("maps"), 120))


def test_it_beats_brightness_taken_for_height(trained: Path, tmp_path: Path) -> None:
    request = MapsRequest(Universe.CLASSIFIER_TEST, 32, None)
    store = MapsStore(tmp_path, 5, 16)
    store.ensure(Waves(), request, 32)
    pool = MapsPool(store, request)
    pool.refresh()
    truth = everything(pool, 32)
    ours = errors(predict(load_network(trained), truth.pictures), truth).as_json()
    theirs = errors(baseline(truth, fit_baseline(truth)), truth).as_json()
    for name, value in ours.items():
        assert value < 0.7 * theirs[name], (name, value, theirs[name])


def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, ended_after: EndedAfter) -> None:
    train_maps(Waves(), tiny(tmp_path / "whole", 5))
    ended_after(3, lambda: train_maps(Waves(), tiny(tmp_path / "broken", 5)))
    stopped = load_checkpoint(tmp_path / "broken" / "checkpoint")
    assert stopped is not None
    assert stopped.facts["step"] == 3
    train_maps(Waves(), tiny(tmp_path / "broken", 5))
    whole, broken = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "broken"))
    assert whole is not None
    assert broken is not None
    assert all(torch.equal(value, whole.tensors[name]) for name, value in broken.tensors.items())


def test_a_run_starts_from_another_networks_weights(trained: Path, tmp_path: Path) -> None:
    """Without the start its weights are random and its record counts from nought; without `warm_step` the rate has decayed already."""
    config = dataclasses.replace(tiny(tmp_path, 121), learning_rate=0.0, matrix_learning_rate=0.0)
    warm = train_maps(Waves(), config, trained)
    assert load_record(warm)["step"] == 121
    before, after = load_network(trained).state_dict(), load_network(warm).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_in_bfloat16_the_surface_is_still_integrated_in_full(trained: Path) -> None:
    """Without the conversion before the Fourier transform, which knows no bfloat16, this raises."""
    network = load_network(trained)
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    full, half = (precision.call(network, picture, half=half) for half in (False, True))
    assert half.height.dtype == torch.float32
    assert not torch.equal(half.height, full.height)
    assert float((half.height - full.height).abs().mean()) < 0.1 * float(full.height.abs().mean())


def test_a_photograph_taken_otherwise_shows_the_same_place() -> None:
    """Without the circular blur a rolled picture would differ at its border; a hue that turned greys would tint what has no colour."""
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    same = AugmentConfig(0, 0, 0, 0, 0, 0)
    assert torch.allclose(augmented(pictures, np.random.default_rng(1), same), pictures, atol=1e-6)
    quiet = AugmentConfig(noise=0)
    straight, rolled = (augmented(picture, np.random.default_rng(1), quiet) for picture in (pictures, pictures.roll((3, 5), (2, 3))))
    assert torch.allclose(straight.roll((3, 5), (2, 3)), rolled, atol=1e-6)
    assert not torch.allclose(straight, pictures, atol=0.05)
    turned = turned_hue(torch.tensor([2 * torch.pi / 3]))[0]
    assert torch.allclose(turned @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)
    assert torch.allclose(turned @ torch.ones(3), torch.ones(3), atol=1e-6)


def test_the_geometry_is_the_renderers(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    height = np.cumsum(rng.normal(0, 0.01, (32, 32)), 0).astype(np.float32)
    pixels = torch.from_numpy(height * 32)[None]
    encoded = losses.normals(pixels)[0].permute(1, 2, 0).numpy() / 2 + 0.5
    assert np.abs(encoded - relief.normals(height)).max() < 1e-4
    assert np.abs(losses.occlusion(pixels)[0].numpy() - relief.occlusion(height)).max() < 1e-4


def test_a_height_is_found_again_from_its_slopes() -> None:
    rows = torch.arange(32)[:, None] * 2 * torch.pi / 32
    height = (torch.sin(2 * rows) + 0.5 * torch.cos(rows.T * 3 + rows))[None] * 2
    right, up = losses.slopes(height).unbind(1)
    assert torch.allclose(integrate(right, up), height, atol=0.02)
    assert float(integrate(torch.ones(1, 32, 32), torch.zeros(1, 32, 32)).abs().max()) < 1e-5  # no tile rises for ever


def test_what_it_says_of_a_tile_rolls_with_the_tile(trained: Path) -> None:
    network = load_network(trained)
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    padding = make_seamless(network)
    straight, rolled = network(picture).height, network(torch.roll(picture, (8, 16), (2, 3))).height
    padding.eject()
    assert torch.allclose(torch.roll(straight, (8, 16), (1, 2)), rolled, atol=1e-4)


def test_the_recipe_fits_its_budget(tmp_path: Path) -> None:
    config = NetworkConfig()
    assert save_network(tmp_path / "maps.safetensors", MapsNetwork(config.channels, config.groups), {}) < BUDGET - 50_000


def test_the_renders_of_procedural_come_with_maps() -> None:
    from gesso_plugins.procedural.dataset import ProceduralSource

    source = ProceduralSource()
    assert isinstance(source, MappedSource)
    plain, mapped = (draw(np.random.default_rng(4), 64, ["brick"]) for draw in (source.sample, source.sample_maps))
    assert np.array_equal(plain.image, mapped.image)
    assert plain.caption == mapped.caption
    assert {name: plane.shape for name, plane in mapped.maps.items()} == dict.fromkeys(("height", "roughness", "metallic"), (64, 64))


def test_commands_say_what_is_missing(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.train(["--out", str(trained.parent)], Waves())
    assert "--continue" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.evaluate(["--model", str(tmp_path / "none")], Waves())
    assert "gesso train maps" in capsys.readouterr().err


class Varied(Waves):
    """Waves that remember which share of them was asked to be varied."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def with_variety(self, share: float) -> Waves:
        self.shares.append(share)
        return Waves()


def test_materials_that_nobody_wrote_are_shown_or_refused(tmp_path: Path) -> None:
    config = tiny(tmp_path / "varied", 1)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, variety=0.25))
    source = Varied()
    train_maps(source, config)
    assert source.shares == [0.25]
    with pytest.raises(InvalidRequest, match="no variety to choose") as refused:
        train_maps(Waves(), config)
    assert refused.value.field == "variety"
