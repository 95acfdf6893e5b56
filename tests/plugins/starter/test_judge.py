"""The judge learns, keeps its verdict in a file, and a report says what was right."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gesso.manifest import first_party
from gesso.plugin import build_plugins
from gesso.plugin.datasets import CaptionedSource, PromptedSource
from gesso.training.files import read_json
from gesso.training.materials import MATERIALS as TWELVE
from gesso.training.renders import RenderStore, Request, Universe, draw
from gesso_plugins.starter import command
from gesso_plugins.starter.classifier import ClassifierConfig, held_out_accuracy, load_judge, new_judge, save_judge, train_judge
from gesso_plugins.starter.config import CORE_MATERIALS
from gesso_plugins.starter.evaluate import Prompt, evaluation_file, load_prompts, make_prompts, measure, render_prompts
from gesso_plugins.starter.judging import StarterJudge

MATERIALS, COLOURS = ("columns", "rows"), ("blue", "green", "red")


def test_the_judge_learns_and_is_kept(tmp_path: Path, stripes: CaptionedSource) -> None:
    config = ClassifierConfig(widths=(8, 16), size=32, renders=64, held_out=32, batch=16, steps=160)
    store = RenderStore(tmp_path, config.seed, 32)
    judge = new_judge(MATERIALS, COLOURS, config)
    train_judge(judge, stripes, store, config, lambda text: None)
    accuracy = held_out_accuracy(judge, stripes, store, config)
    assert min(accuracy) > 0.9
    save_judge(tmp_path / "judge.safetensors", judge, config)
    again = load_judge(tmp_path / "judge.safetensors")
    assert held_out_accuracy(again, stripes, store, config) == pytest.approx(accuracy, abs=0.05)
    shard = store.load(Universe.CLASSIFIER_TEST, 32, 0)
    prompts = [Prompt(caption, label["material"], label["colour"], 0) for caption, label in zip(shard.captions, shard.labels, strict=True)]
    report = measure(prompts, shard.images, again)
    assert report.material > 0.9
    assert sum(report.missed.values()) == round((1 - report.material) * len(prompts))
    wrong = [dataclasses.replace(prompt, colour=COLOURS[COLOURS.index(prompt.colour) - 1]) for prompt in prompts]
    assert measure(wrong, shard.images, again).colour < 0.1


def test_the_judge_fits_in_a_megabyte() -> None:
    config = ClassifierConfig()
    judge = new_judge(CORE_MATERIALS, [str(i) for i in range(16)], config)
    assert 2 * sum(parameter.numel() for parameter in judge.parameters()) < 1_000_000


def test_the_fixed_prompts_cover_every_material() -> None:
    prompts = load_prompts(evaluation_file(command.PROMPTS_FILE))
    counts = np.array([sum(prompt.material == name for prompt in prompts) for name in CORE_MATERIALS])
    assert len(prompts) == counts.sum() == 500
    assert counts.min() >= 11
    assert len({prompt.seed for prompt in prompts}) == 500
    assert all(prompt.colour in prompt.text and prompt.material.replace("_", " ") in prompt.text for prompt in prompts)


def test_the_judge_knows_true_renders_of_the_fixed_prompts() -> None:
    """The first forty of them; fails where `picture` ignores the words, or uses the seeds of the generated pictures."""
    source = build_plugins(first_party()).dataset("procedural")
    assert isinstance(source, PromptedSource)
    prompts = load_prompts(evaluation_file(command.PROMPTS_FILE))[:40]
    images = render_prompts(source, prompts)
    report = measure(prompts, images, load_judge(evaluation_file(command.JUDGE_FILE)))
    assert report.material > 0.95
    assert report.colour > 0.85
    assert sum(report.miscoloured.values()) == round((1 - report.colour) * len(prompts))
    assert not np.array_equal(images[0], source.picture(prompts[0].text, 128, prompts[0].seed))


def test_small_pictures_are_enlarged_for_the_judge() -> None:
    """As they are, it names the material of half of them."""
    source = build_plugins(first_party()).dataset("procedural")
    drawn = [draw(source, Request(Universe.PROMPTS, 64, (name,)), 5, i) for i, name in enumerate(TWELVE * 3)]
    seen = StarterJudge().judge(np.stack([image for image, _, _ in drawn]))
    assert np.mean([found["material"] == labels["material"] for found, (_, _, labels) in zip(seen, drawn, strict=True)]) > 0.95


def test_the_lower_bar_is_measured_on_renders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve materials at 64 pixels: a sampler that draws what the source renders passes, and the report says what was asked."""
    source = build_plugins(first_party()).dataset("procedural")
    assert isinstance(source, PromptedSource)

    class Renders:
        def images(self, texts: Sequence[str], seeds: Sequence[int], how: object) -> npt.NDArray[np.uint8]:
            return np.stack([source.picture(text, 128, seed) for text, seed in zip(texts, seeds, strict=True)])

    monkeypatch.setattr("gesso_plugins.starter.sampling.load_sampler", lambda folder: Renders())
    monkeypatch.setattr("gesso_plugins.starter.classifier.held_out_accuracy", lambda *_: (1.0, 1.0))
    monkeypatch.setattr(command, "_tell_ceiling", lambda *_: None)
    assert command.evaluate(["--twelve", "--count", "36", "--out", str(tmp_path)], source) == 0
    assert "36 pictures of 64 px: material " in capsys.readouterr().out
    report = read_json(tmp_path / "report.json")
    assert report["asked"] == dict.fromkeys(TWELVE, 3)
    assert report["material"] > 0.95
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.width >= 640


def test_prompts_are_drawn_the_same_again(stripes: CaptionedSource) -> None:
    assert make_prompts(stripes, MATERIALS, 8) == make_prompts(stripes, MATERIALS, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--decay", "10"], "--decay counts back from --steps"),
        (["--continue", "--from", "nowhere"], "is not a pipeline directory"),
        (["--no-such-option"], "unrecognized arguments"),
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str], message: str, stripes: CaptionedSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.train(["--out", str(tmp_path / "run"), *arguments], stripes)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_is_not_overwritten(tmp_path: Path, stripes: CaptionedSource, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.json").write_text("{}")
    with pytest.raises(SystemExit):
        command.train(["--out", str(tmp_path)], stripes)
    assert "add --continue" in capsys.readouterr().err
