"""unCLIP's training on a tiny configuration: every stage learns, resumes exactly, and what comes out is served; both sizes have the shapes
that they claim; what does not fit is refused in a sentence.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plugins.sources import Stripes
from tests.plugins.unclip.pipelines import change

from gesso.errors import GessoError, ModelError
from gesso.manifest import ModelEntry
from gesso.model import Conditioning
from gesso.testing import Studio
from gesso.training.checkpoint import load_checkpoint
from gesso.training.run import Run
from gesso_plugins.unclip import command
from gesso_plugins.unclip.config import (
    PAPER,
    PAPER_CLIP,
    STAGES,
    ClipConfig,
    DataConfig,
    NetworkConfig,
    StageConfig,
    UnclipConfig,
)
from gesso_plugins.unclip.data import Chance, crops, to_tensor
from gesso_plugins.unclip.family import UnclipFamily
from gesso_plugins.unclip.levels import Levels
from gesso_plugins.unclip.networks import build
from gesso_plugins.unclip.storage import FOLDER
from gesso_plugins.unclip.train import Training, train_unclip

EndedAfter = Callable[[int, Callable[[], object]], None]
pytestmark = pytest.mark.filterwarnings("ignore")
TINY = NetworkConfig(
    image=16, prior=(2, 8, 1), decoder=(8, 16), head=8, context=16, upsampler=(8, 16), groups=4, tokens=2
)  # fmt: skip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with random weights, as wide in words as in pictures."""
    from transformers import CLIPConfig, CLIPModel

    from gesso.training.tokenizer import train_tokenizer

    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("clip")
    words = [f"{colour} {material}" for colour in ("red", "green", "blue") for material in ("rows", "columns")]
    tokenizer = train_tokenizer(words, vocabulary=600, length=8)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1, "projection_dim": 16}
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    text = {**tower, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 8}
    config = CLIPConfig(text_config=text, vision_config={**tower, "image_size": 32, "patch_size": 8}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny(out: Path, clip: Path, steps: int = 2, **more: Any) -> UnclipConfig:
    data = DataConfig(materials=("rows", "columns"), layouts=0, minimum=64, shard=32, workers=0)
    stage = StageConfig(1.0, 8)
    told: dict[str, Any] = {"network": TINY, "data": data, "prior": stage, "decoder": stage, "upsampler": stage, "captions": 2}
    return UnclipConfig(out=out, clip=clip, steps=steps, warmup=2, ema=0.9, timesteps=100, crop=16, **{**told, **more})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """A whole run of two steps a stage."""
    return train_unclip(Stripes(), tiny(tmp_path_factory.mktemp("run"), clip)).parent


@pytest.mark.parametrize("half", [False, True])
def test_every_stage_learns(tmp_path: Path, clip: Path, half: bool) -> None:
    """On one batch again and again, its loss falls."""
    training = Training(Stripes(), dataclasses.replace(tiny(tmp_path, clip), half=half))
    training.prepare()
    for number, stage in enumerate(STAGES):
        optimiser = torch.optim.Adam([p for p in training.networks[stage].parameters() if p.requires_grad], 1e-2)
        losses = []
        for _ in range(12):
            loss = getattr(training, f"_{stage}_loss")(Chance.of(1, number, 0))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.9 * losses[0], stage


def test_a_resumed_run_equals_an_unbroken_one(run: Path, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken in the middle of each stage in turn."""
    whole, learned = Run.learn, list[str]()
    broken = tiny(tmp_path / "broken", clip)

    def learn(self: Run, loss: torch.Tensor, factor: float, samples: int) -> None:
        whole(self, loss, factor, samples)
        learned.append(self.stage)
        self.clock.stop = True

    with monkeypatch.context() as patch:
        patch.setattr(Run, "learn", learn)
        for _ in range(3):
            train_unclip(Stripes(), broken)
    assert learned == ["prior", "prior", "decoder", "decoder", "upsampler"]
    train_unclip(Stripes(), broken)
    for stage in STAGES:
        one, other = (load_checkpoint(folder / stage / "checkpoint") for folder in (run, tmp_path / "broken"))
        assert one is not None
        assert other is not None
        assert (one.facts["step"], other.facts["step"]) == (2, 2)
        assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items()), stage
        assert (tmp_path / "broken" / stage / "loss.csv").exists()
    assert [path.name for path in sorted((run / "sheets").iterdir())] == ["decoder-000002.webp", "upsampler-000002.webp"]


def test_what_was_trained_is_served(run: Path, studio: Studio) -> None:
    studio.add("own", run / FOLDER, "unclip")
    card = studio.context().model("own")
    assert card.capabilities == {"encode_text", "cascade", "imagine", "view"}
    assert card.info["step"] == "2"
    few = {"unclip": {"prior_steps": 2, "upsampler_steps": 2}}
    (output,) = studio.make("generate", {"prompt": "red rows", "model": "own", "seed": 3, "steps": 2, "options": few, "tile": "xy"}).outputs
    assert output.pixels.shape == (32, 32, 3)
    record = json.loads((run / FOLDER / "training.json").read_text())
    assert record["stages"] == dict.fromkeys(STAGES, 2)
    assert card.defaults.guidance == card.cascade.decoder.guidance == record["guidance"] == 2.0
    scheduler = json.loads((run / FOLDER / "prior_scheduler" / "scheduler_config.json").read_text())
    assert (scheduler["prediction_type"], scheduler["num_train_timesteps"]) == ("sample", 100)


def test_a_directory_that_borrows_its_clip_is_the_same_but_small(
    run: Path, tmp_path: Path, clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train_unclip(Stripes(), dataclasses.replace(tiny(tmp_path / "bare", clip), borrow=True))
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        "decoder", "decoder_scheduler", "prior", "prior_scheduler", "super_res_first", "super_res_scheduler", "text_proj"
    }  # fmt: skip
    family = UnclipFamily(clip)
    cards = [family.inspect(ModelEntry("own", "unclip", "Own", path, ())) for path in (run / FOLDER, folder)]
    assert cards[0].capabilities == cards[1].capabilities
    assert cards[0].digest != cards[1].digest
    capfd.readouterr()
    whole, bare = (family.load(card, torch.device("cpu")) for card in cards)
    assert not any(word in "".join(capfd.readouterr()) for word in ("zero_padded", "UNEXPECTED"))
    assert list(bare._networks["decoder"].config["zero_padded"]) == ["down_blocks", "mid_block"]
    (one,), (other,) = (model.encode_text(["red rows"]) for model in (whole, bare))
    assert torch.allclose(one.tokens, other.tokens, atol=1e-2)  # the copy is in half precision
    picture = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(whole.encode_image(picture), bare.encode_image(picture), atol=1e-2)
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    extras = {**one.extras, "embedding": whole.encode_image(picture)[:, :, 0, 0], "heard": torch.ones(1, 1)}
    told = Conditioning(one.tokens, one.pooled, extras)
    assert torch.equal(whole.denoise(x, torch.tensor([1.0]), told), bare.denoise(x, torch.tensor([1.0]), told))
    for other_clip in (None, tmp_path):
        with pytest.raises(ModelError, match="another CLIP than the one that ships") as refused:
            UnclipFamily(other_clip).inspect(ModelEntry("own", "unclip", "Own", folder, ()))
        assert "--borrow-clip" in str(refused.value.hint)


def test_the_decoder_is_asked_for_its_place_where_layouts_are_fixed(tmp_path: Path, clip: Path) -> None:
    training = Training(Stripes(), tiny(tmp_path, clip))
    training.prepare()
    assert list(training.networks["decoder"].network.config["zero_padded"]) == ["down_blocks", "mid_block"]
    anywhere = float(training._decoder_loss(Chance.of(1, 1, 0)).detach())
    training.config = dataclasses.replace(training.config, data=dataclasses.replace(training.config.data, layouts=1))
    unread = (float(training._decoder_loss(Chance.of(1, 1, 0)).detach()) - anywhere) / training.config.place.weight
    assert 0.1 < unread <= 1.001, "what an untrained network leaves unsaid of its place"


def test_crops_come_from_anywhere_on_the_torus(tmp_path: Path, clip: Path) -> None:
    training = Training(Stripes(), tiny(tmp_path, clip))
    training.prepare()
    whole = to_tensor(torch.from_numpy(training.pool.image(3)[None]))[0]
    around = torch.cat([torch.cat([whole, whole], 1)] * 2, 2)
    found = crops(training.pool, [3] * 20, Chance.of(1, 2, 3), 12, wrap=True)
    assert found.shape == (20, 3, 12, 12)
    windows = around.unfold(1, 12, 1).unfold(2, 12, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    assert all((windows == crop).flatten(1).all(1).any() for crop in found)
    assert len({crop.numpy().tobytes() for crop in found}) > 4
    inside = whole.unfold(1, 12, 1).unfold(2, 12, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    assert all((inside == crop).flatten(1).all(1).any() for crop in crops(training.pool, [3] * 20, Chance.of(1, 2, 3), 12, wrap=False))


def test_the_upsampler_lies_there_once_and_can_be_left_out(run: Path, tmp_path: Path, clip: Path, studio: Studio) -> None:
    assert (run / FOLDER / "super_res_first").is_dir()
    assert not (run / FOLDER / "super_res_last").exists()
    small = dataclasses.replace(tiny(tmp_path / "small", clip), network=dataclasses.replace(TINY, factor=1), crop=64)
    folder = train_unclip(Stripes(), small)
    assert not (folder / "super_res_first").exists()
    assert not (tmp_path / "small" / "upsampler").exists()
    studio.add("small", folder, "unclip")
    few = {"unclip": {"prior_steps": 2}}
    (output,) = studio.make("generate", {"prompt": "red rows", "model": "small", "seed": 3, "steps": 2, "options": few}).outputs
    assert output.pixels.shape == (16, 16, 3)


def test_the_served_prior_is_the_trained_one(run: Path, clip: Path) -> None:
    """In half precision, the average, with the statistics of the renders' embeddings."""
    from gesso_plugins.unclip.directory import Directory

    network = Directory.of("own", run / FOLDER).network("prior", torch.float32)
    checkpoint = load_checkpoint(run / "prior" / "checkpoint")
    assert checkpoint is not None
    own = {name.removeprefix("average.step.network."): value for name, value in checkpoint.tensors.items() if name.startswith("average.")}
    assert all(torch.allclose(value, own[name], atol=1e-3) for name, value in network.named_parameters())
    training = Training(Stripes(), tiny(run, clip))
    training.prepare()
    first = training.pool.embeddings(list(range(64)))
    assert torch.allclose(network.clip_mean[0], first.mean(0), atol=1e-2)
    assert torch.allclose(network.clip_std[0], first.std(0), atol=1e-2)


def test_errors_weigh_as_much_as_there_is_signal_within_bounds() -> None:
    levels, time = Levels(1000), torch.tensor([0, 400, 999])
    made, clean = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    each = [float(levels.weighted(made[i : i + 1], clean[i : i + 1], time[i : i + 1])) for i in range(3)]
    signal = float(levels.noisy(torch.ones(1), torch.zeros(1), time[1:2]))
    assert each == pytest.approx([5.0, signal**2 / (1 - signal**2), 1.0], rel=1e-3)
    assert float(levels.weighted(made, clean, time)) == pytest.approx(sum(each) / 3)


def test_noise_is_variance_preserving_and_agrees_with_diffusers() -> None:
    import diffusers

    levels, theirs = Levels(100), diffusers.UnCLIPScheduler(num_train_timesteps=100)
    clean, noise = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1)), torch.ones(2, 3, 4, 5)
    time = torch.tensor([3, 90])
    assert torch.allclose(levels.noisy(clean, noise, time), theirs.add_noise(clean, noise, time), atol=1e-5)
    drawn = levels.times(1000, torch.Generator().manual_seed(2))
    assert (int(drawn.min()), int(drawn.max())) == (0, 99)


@pytest.mark.parametrize(
    ("config", "clip_config", "most"),
    [(NetworkConfig(), ClipConfig(128, 32), 1_500_000), (PAPER, PAPER_CLIP, 6_000_000_000)],
    ids=["own", "paper"],
)
def test_the_shapes_of_both_sizes(config: NetworkConfig, clip_config: ClipConfig, most: int) -> None:
    width, length, side = clip_config.width, clip_config.length, config.image
    with torch.device("meta"):
        steps = build(config, clip_config)
        time = torch.zeros(2, dtype=torch.long)
        states, vector, mask = torch.zeros(2, length, width), torch.zeros(2, width), torch.ones(2, length, dtype=torch.bool)
        assert steps["prior"](torch.zeros(2, width), time, states, vector, mask).shape == (2, width)
        words = torch.cat([states, mask[..., None].float()], -1)
        small = torch.zeros(2, 3, side, side)
        assert steps["decoder"](small, time, words, vector, vector, torch.ones(2, 1)).shape == small.shape
        large = torch.zeros(2, 3, side * config.factor, side * config.factor)
        assert steps["upsampler"](large, large, time).shape == large.shape
    count = sum(p.numel() for step in steps.values() for p in step.parameters())
    assert most / 2 < count < most


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": dataclasses.replace(TINY, context=24)}, "begun with another network.context"),
        ({"ema": 0.5}, r"begun with another ema \(0.9, not 0.5\)"),
        ({"data": DataConfig(materials=("rows", "velvet"), layouts=0)}, "no material 'velvet'"),
        ({"crop": 64}, "Crops of 64 pixels"),
    ],
)
def test_a_run_does_not_go_on_with_another_recipe(run: Path, clip: Path, change: dict[str, Any], said: str) -> None:
    before = (run / "decoder" / "checkpoint" / "state.safetensors").read_bytes()
    with pytest.raises(GessoError, match=said):
        train_unclip(Stripes(), dataclasses.replace(tiny(run, clip, 3), **change))
    assert (run / "decoder" / "checkpoint" / "state.safetensors").read_bytes() == before


def test_a_clip_that_does_not_fit_is_refused(clip: Path, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(GessoError, match="is no CLIP"):
        train_unclip(Stripes(), tiny(tmp_path / "out", tmp_path))
    from transformers import CLIPConfig, CLIPModel

    folder = shutil.copytree(clip, tmp_path / "narrow")
    narrow = CLIPConfig.from_pretrained(folder)
    narrow.text_config.hidden_size = 8
    CLIPModel(narrow).save_pretrained(folder)
    with pytest.raises(GessoError, match="text states have 8 numbers and its embeddings 16"):
        train_unclip(Stripes(), tiny(tmp_path / "out", folder))
    change(folder / "config.json", model_type="siglip")
    with pytest.raises(GessoError, match="is no CLIP"):
        train_unclip(Stripes(), tiny(tmp_path / "out", folder))


def test_the_command_says_what_is_missing(run: Path, tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--out", str(run)], "--continue"), (["--out", str(tmp_path), "--continue"], "holds no run")):
        with pytest.raises(SystemExit):
            command.train(words, Stripes(), clip)
        assert said in capsys.readouterr().err
