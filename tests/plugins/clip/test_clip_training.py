"""The small CLIP's training on a tiny configuration: it learns, resumes exactly, and leaves a directory that transformers reads."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import CLIPModel

from gesso.plugin.datasets import CaptionedSource
from gesso.training.checkpoint import load_checkpoint
from gesso.training.renders import RenderStore, Request, Universe
from gesso.training.tokenizer import train_tokenizer
from gesso_plugins.clip import command
from gesso_plugins.clip.batches import Pool, draw_batch
from gesso_plugins.clip.config import SECOND_MODEL, ClipConfig, DataConfig, ModelConfig, TowerConfig
from gesso_plugins.clip.evaluate import histogram_baseline, measure
from gesso_plugins.clip.networks import BUDGET, build_network, load
from gesso_plugins.clip.train import contrastive_loss, train_clip

EndedAfter = Callable[[int, Callable[[], object]], None]
pytestmark = pytest.mark.filterwarnings("ignore")
COLOURS = ("red", "green", "blue")


def tiny(out: Path, steps: int) -> ClipConfig:
    tower = TowerConfig(width=32, layers=1, heads=2)
    model = ModelConfig(vocabulary=620, length=8, captions=30, image=16, patch=4, text=tower, vision=tower, projection=16)
    data = DataConfig(held_out=(), minimum=128, shard=32, validation=128, workers=0)
    return ClipConfig(out=out, steps=steps, batch=32, kin=4, warmup=4, log_every=50, validate_every=60, ema=0.9, model=model, data=data)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, stripes: CaptionedSource) -> Path:
    out = tmp_path_factory.mktemp("clip")
    train_clip(stripes, tiny(out, 160))
    return out


def pool_of(out: Path, source: CaptionedSource, count: int = 128) -> Pool:
    clip, _ = load(out / "export")
    store = RenderStore(out / "test", 9, 32)
    store.ensure(source, Request(Universe.CLASSIFIER_TEST, 16), count)
    pool = Pool(store, Universe.CLASSIFIER_TEST, 16, clip.tokenizer)
    pool.refresh()
    return pool


def test_it_learns_what_renders_show(trained: Path, stripes: CaptionedSource) -> None:
    clip, record = load(trained / "export")
    pool = pool_of(trained, stripes)
    figures = measure(clip, pool, COLOURS)
    assert record["step"] == 160
    assert figures.image_to_text > 0.6
    assert figures.colour_swap >= figures.colour_of_all > 0.9
    guess = dataclasses.replace(clip, network=build_network(tiny(trained, 0).model, clip.tokenizer))
    assert measure(guess, pool, COLOURS).image_to_text < 0.4


def test_the_histogram_knows_colours_only(trained: Path, stripes: CaptionedSource) -> None:
    figures = histogram_baseline(pool_of(trained, stripes), pool_of(trained, stripes), COLOURS)
    assert figures.colour_swap >= figures.colour_of_all > 0.9
    assert figures.text_to_image < 0.9  # rows and columns have the same histogram


def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, stripes: CaptionedSource, ended_after: EndedAfter) -> None:
    train_clip(stripes, tiny(tmp_path / "whole", 6))
    ended_after(3, lambda: train_clip(stripes, tiny(tmp_path / "broken", 6)))
    assert load_checkpoint(tmp_path / "broken/checkpoint").facts["step"] == 3  # type: ignore[union-attr]
    train_clip(stripes, tiny(tmp_path / "broken", 6))
    whole, broken = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "broken"))
    assert whole is not None
    assert broken is not None
    assert all(torch.equal(value, whole.tensors[name]) for name, value in broken.tensors.items())


def test_a_new_run_starts_from_weights_and_resumes_too(
    trained: Path, tmp_path: Path, stripes: CaptionedSource, ended_after: EndedAfter
) -> None:
    start = trained / "export"
    train_clip(stripes, tiny(tmp_path / "whole", 164), start)
    ended_after(2, lambda: train_clip(stripes, tiny(tmp_path / "broken", 164), start))
    train_clip(stripes, tiny(tmp_path / "broken", 164))
    whole, broken = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "broken"))
    assert whole is not None
    assert broken is not None
    assert (whole.facts["step"], whole.facts["warm_step"]) == (164, 160)
    assert all(torch.equal(value, whole.tensors[name]) for name, value in broken.tensors.items())
    before = load(start)[0].named_tensors()
    steps = [(whole.tensors[f"model.{name}"] - value).abs().max().item() for name, value in before.items()]
    assert 0 < max(steps) < 0.2


def test_transformers_reads_the_directory(trained: Path) -> None:
    model = CLIPModel.from_pretrained(trained / "export", local_files_only=True)
    assert model.config.vision_config.image_size == 16
    settings = json.loads((trained / "export/preprocessor_config.json").read_text())
    assert settings["size"] == {"height": 16, "width": 16}


def test_the_loss_is_symmetric_and_takes_equal_words_for_equal_answers() -> None:
    torch.manual_seed(0)
    images, texts = torch.nn.functional.normalize(torch.randn(2, 6, 4), dim=-1)
    ids = torch.arange(6)[:, None]
    scale = torch.tensor(10.0)
    assert contrastive_loss(images, texts, ids, scale).item() == pytest.approx(contrastive_loss(texts, images, ids, scale).item())
    twins = torch.tensor([0, 0, 2, 3, 4, 5])[:, None]
    same = texts.clone()
    same[1] = same[0]
    swapped = images[[1, 0, 2, 3, 4, 5]]
    loss, exchanged = (contrastive_loss(rows, same, twins, scale).item() for rows in (images, swapped))
    assert loss == pytest.approx(exchanged, rel=1e-5)


def test_batches_hold_kin_and_are_drawn_from_the_step(trained: Path, stripes: CaptionedSource) -> None:
    pool = pool_of(trained, stripes)
    pixels, ids = draw_batch(pool, 16, 4, (1, 5))
    again, _ = draw_batch(pool, 16, 4, (1, 5))
    other, _ = draw_batch(pool, 16, 4, (1, 6))
    assert torch.equal(pixels, again)
    assert not torch.equal(pixels, other)
    assert pixels.shape == (16, 3, 16, 16)
    assert ids.shape == (16, 8)
    words = [pool.tokenizer.decode(row, skip_special_tokens=True).split()[-1] for row in ids[8:]]
    assert all(len(set(words[i : i + 4])) == 1 for i in (0, 4))


@pytest.mark.parametrize("config", [ModelConfig(), SECOND_MODEL])
def test_the_recipes_fit_the_budget(config: ModelConfig) -> None:
    network = build_network(config, train_tokenizer(["red"], vocabulary=config.vocabulary, length=config.length))
    rest = (config.vocabulary - network.config.text_config.vocab_size) * config.text.width
    assert 2 * (sum(parameter.numel() for parameter in network.parameters()) + rest) < BUDGET - 200_000


def test_the_second_recipe_crops_and_does_not_blur(trained: Path, stripes: CaptionedSource) -> None:
    pool = pool_of(trained, stripes)
    blurred, ids = draw_batch(pool, 16, 4, (1, 5))
    cropped, same_ids = draw_batch(pool, 16, 4, (1, 5), crop=True)
    again, _ = draw_batch(pool, 16, 4, (1, 5), crop=True)
    assert torch.equal(ids, same_ids)
    assert torch.equal(cropped, again)
    assert cropped.shape == blurred.shape
    assert (cropped - blurred).abs().mean() > 0.05


def test_the_second_scorer_is_asked_for_by_one_option(tmp_path: Path, stripes: CaptionedSource, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ClipConfig] = []
    monkeypatch.setattr("gesso_plugins.clip.train.train_clip", lambda _, config, start: asked.append(config) or tmp_path)
    command.train(["--out", str(tmp_path), "--seed", "2", "--second"], stripes)
    command.train(["--out", str(tmp_path)], stripes)
    assert (asked[0].seed, asked[0].model, asked[0].data.crop) == (2, SECOND_MODEL, True)
    assert (asked[1].seed, asked[1].model, asked[1].data.crop) == (1, ModelConfig(), False)


def test_going_on_without_a_run_starts_from_the_weights_that_ship(
    tmp_path: Path, stripes: CaptionedSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    starts: list[Path | None] = []
    monkeypatch.setattr("gesso_plugins.clip.train.train_clip", lambda _source, _config, start: starts.append(start) or tmp_path)
    command.train(["--out", str(tmp_path), "--continue"], stripes)
    command.train(["--out", str(tmp_path)], stripes)
    assert starts == [command.shipped_weights(), None]
    with pytest.raises(SystemExit):
        command.train(["--out", str(tmp_path), "--second", "--continue"], stripes)
    assert "no second scorer ships" in capsys.readouterr().err


def test_a_run_is_not_written_over(trained: Path, stripes: CaptionedSource, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.train(["--out", str(trained)], stripes)
    assert end.value.code == 2
    assert "--continue" in capsys.readouterr().err


def test_evaluation_wants_a_model(tmp_path: Path, stripes: CaptionedSource, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.evaluate(["--model", str(tmp_path)], stripes)
    assert "gesso train clip" in capsys.readouterr().err
