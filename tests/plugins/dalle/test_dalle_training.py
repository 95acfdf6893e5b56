"""Training of both stages on stripes: it learns, resumes exactly on either side of the border, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.plugins.dalle.conftest import CAPTIONS, TINY, fresh, tiny
from tests.plugins.sources import Stripes

from gesso.errors import DataError, GessoError, InvalidRequest, ModelError
from gesso.model import TokenChoice
from gesso.training.checkpoint import load_checkpoint
from gesso.training.tokenizer import train_tokenizer
from gesso.training.vocabulary import NAME, spelled
from gesso_plugins.dalle import command, sheets
from gesso_plugins.dalle.autoencoder import tokens_of
from gesso_plugins.dalle.config import DalleConfig, DataConfig, NetworkConfig, TransformerConfig
from gesso_plugins.dalle.data import to_tensor
from gesso_plugins.dalle.storage import BUDGET, FILE, Networks
from gesso_plugins.dalle.train import WEIGHTS, Training, train_dalle, wrapping

EndedAfter = Callable[[int, Callable[[], object]], None]
pytestmark = pytest.mark.filterwarnings("ignore")


def prepared(config: DalleConfig) -> Training:
    training = Training(Stripes(), config)
    training.prepare()
    return training


def test_both_stages_learn(tmp_path: Path) -> None:
    training = prepared(tiny(tmp_path, 90, 50))
    first = training._teach_autoencoder()
    with training.run.opened():
        training.run.loop(training._teach_autoencoder, (), 50)
        training._enter_stage()
        blank = training._teach_transformer()
        training.loop()
    terms = training._teach_autoencoder()
    assert set(terms) == {"loss", "surprise", "divergence", "unevenness"}
    assert terms["surprise"] < first["surprise"] - 0.2
    drawn = training._teach_transformer()
    assert drawn["text"] < 0.8 * blank["text"]
    assert drawn["image"] < 0.9 * blank["image"]
    assert drawn["loss"] == pytest.approx(drawn["text"] / 8 + drawn["image"] * 7 / 8)


def test_all_tokens_come_into_use_and_stay_there(tmp_path: Path) -> None:
    """Of 24, at first and after fifty steps; without what holds them there, a few stand for everything."""

    def used(training: Training) -> int:
        images = [training.pool.image(i)[None] for i in range(32)]
        with wrapping(training.networks), torch.no_grad():
            return len(torch.cat([tokens_of(training.networks.encoder(to_tensor(image))) for image in images]).unique())

    training = prepared(tiny(tmp_path, 50, 50))
    assert used(training) >= 8
    with training.run.opened():
        training.run.loop(training._teach_autoencoder, (), 50)
    assert used(training) >= 8


@pytest.mark.parametrize("broken_at", [2, 3, 4])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, ended_after: EndedAfter, broken_at: int) -> None:
    """Before, at and after the border between the stages, which lies after the third step."""
    train_dalle(Stripes(), tiny(tmp_path / "whole", 6, 3))
    ended_after(broken_at, lambda: train_dalle(Stripes(), tiny(tmp_path / "broken", 6, 3)))
    stopped = load_checkpoint(tmp_path / "broken" / "checkpoint")
    assert stopped is not None
    assert stopped.facts["step"] == broken_at
    train_dalle(Stripes(), tiny(tmp_path / "broken", 6, 3))
    whole, broken = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "broken"))
    assert whole is not None
    assert broken is not None
    assert set(whole.tensors) == set(broken.tensors)
    assert all(torch.equal(value, whole.tensors[name]) for name, value in broken.tensors.items())
    assert (tmp_path / "broken" / "loss.csv").exists()
    assert (tmp_path / "broken" / "sheets" / "000006.webp").exists()
    assert FILE.told(tmp_path / "broken" / WEIGHTS).record["stage"] == "transformer"


def test_the_second_stage_leaves_the_averaged_autoencoder_as_it_is(tmp_path: Path) -> None:
    training = prepared(tiny(tmp_path, 6, 3))
    training.run.loop(training._teach_autoencoder, (), 3)
    average = {name: value.clone() for name, value in training.run.average.tensors.items()}
    training._enter_stage()
    training.run.loop(training._teach_transformer, (), 6)
    for name, value in training.networks.named_tensors().items():
        same = torch.equal(value, average[name])
        assert same == (not name.startswith("transformer")), name
        if same:
            assert torch.equal(training.run.average.tensors[name], value)
    training.run.journal.close()


def test_the_first_stage_leaves_the_transformer_as_it_is(tmp_path: Path) -> None:
    training = prepared(tiny(tmp_path, 6, 3))
    before = {name: value.clone() for name, value in training.networks.named_tensors().items()}
    training._teach_autoencoder()
    moved = {name.split(".")[0] for name, value in training.networks.named_tensors().items() if not torch.equal(value, before[name])}
    assert moved == {"encoder", "decoder"}
    training.run.journal.close()


def test_half_the_numbers_teach_about_the_same(tmp_path: Path) -> None:
    found = []
    for half in (False, True):
        training = prepared(dataclasses.replace(tiny(tmp_path / str(half), 6, 1), half=half))
        found.append([training._teach_autoencoder(), training._teach_transformer()])
        assert all(value.dtype == torch.float32 for value in training.networks.named_tensors().values())
        training.run.journal.close()
    for whole, halved in zip(*found, strict=True):
        assert halved["loss"] == pytest.approx(whole["loss"], rel=0.05)
        assert halved["loss"] != whole["loss"]


def test_a_run_starts_from_a_file(untrained: Path, tmp_path: Path) -> None:
    """The file's transformer has learned for three steps; its autoencoder stays, since the transformer knows no other's tokens."""
    warm = train_dalle(Stripes(), tiny(tmp_path / "warm", 6, 5), untrained)
    told = FILE.told(warm)
    assert (told.record["step"], told.record["stage"]) == (6, "transformer")
    assert spelled(told.tokenizer) == spelled(FILE.told(untrained).tokenizer)
    before, after = load_file(untrained), load_file(warm)
    moved = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"transformer"}
    with pytest.raises(InvalidRequest, match="have learned for 3 steps") as done:
        train_dalle(Stripes(), tiny(tmp_path / "done", 3, 2), untrained)
    assert done.value.field == "steps"
    narrow = tiny(tmp_path / "narrow", 6, 2)
    with pytest.raises(InvalidRequest, match="other sizes"):
        train_dalle(
            Stripes(), dataclasses.replace(narrow, network=dataclasses.replace(narrow.network, layers=narrow.network.layers + 1)), untrained
        )


def test_sheets_draw_as_generate_does() -> None:
    """All rows in one forward, against a row alone."""
    networks = fresh()
    captions, seeds = ["red rows", "blue columns", "red rows"], [1, 1, 2]
    together = sheets.drawn(networks, captions, seeds, TokenChoice(top_p=0.9))
    for row, (caption, seed) in enumerate(zip(captions, seeds, strict=True)):
        assert torch.allclose(together[row], sheets.drawn(networks, [caption], [seed], TokenChoice(top_p=0.9))[0], atol=1e-5)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together[0], together[2])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_dalle(Stripes(), tiny(tmp_path_factory.mktemp("run"), 1, 1)).parent


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"transformer": TransformerConfig(batch=8, text=0.5)}, "invalid", r"begun with another transformer.text \(0.125, not 0.5\)"),
        ({"network": dataclasses.replace(TINY, kernel=5)}, "invalid", r"begun with another network.kernel \(3, not 5\)"),
        ({"data": DataConfig(materials=("rows", "velvet"), layouts=0)}, "invalid", "no material 'velvet'"),
    ],
)
def test_a_run_does_not_go_on_with_another_recipe(run: Path, change: dict[str, Any], code: str, said: str) -> None:
    before = (run / "checkpoint" / "state.safetensors").read_bytes()
    with pytest.raises(GessoError, match=said) as fault:
        train_dalle(Stripes(), dataclasses.replace(tiny(run, 2, 1), **change))
    assert fault.value.code == code
    assert (run / "checkpoint" / "state.safetensors").read_bytes() == before


def test_a_run_does_not_go_on_with_another_vocabulary(run: Path) -> None:
    own = (run / NAME).read_text()
    other = spelled(train_tokenizer([word[::-1] for word in CAPTIONS], vocabulary=TINY.words, length=TINY.length))
    for text, said in ((other, "not the one that the run learned with"), ("{}", "cannot be read")):
        (run / NAME).write_text(text)
        with pytest.raises(DataError, match=said):
            train_dalle(Stripes(), tiny(run, 2, 1))
    (run / NAME).write_text(own)


def test_a_file_keeps_the_networks(untrained: Path, tmp_path: Path) -> None:
    networks, record = FILE.load(untrained)
    assert record["step"] == 3
    FILE.save(tmp_path / "again.safetensors", networks, record)
    again = tmp_path / "again.safetensors"
    assert metadata(again) == metadata(untrained)
    before = load_file(untrained)
    assert all(torch.equal(value, before[name]) for name, value in load_file(again).items())


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"format": "pt"}, "no DALL-E"),
        ({"version": "9"}, "version '9'"),
        ({"config": "{}"}, "metadata"),
        ({"config": json.dumps(json.loads(TINY.as_json()) | {"width": 10**9})}, "metadata"),
        ({"config": json.dumps(json.loads(TINY.as_json()) | {"width": 60_000})}, "tensors"),
        ({"config": json.dumps(json.loads(TINY.as_json()) | {"layers": 10_000})}, "fit together"),
        ({"vocabulary": json.dumps({"entries": {"a": 0}, "merges": [], "length": 8})}, "vocabulary"),
    ],
)
def test_a_file_that_is_none_is_told_from_one(untrained: Path, tmp_path: Path, words: dict[str, str], said: str) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(load_file(untrained), path, metadata(untrained) | words)
    with pytest.raises(ModelError, match=said):
        FILE.load(path)


def test_the_recipe_fits_its_budget(tmp_path: Path) -> None:
    words = train_tokenizer(CAPTIONS, vocabulary=NetworkConfig.words, length=NetworkConfig.length)
    size = FILE.save(tmp_path / "own.safetensors", Networks.new(NetworkConfig(), words), {})
    missing = 2 * (NetworkConfig.words - len(words)) * 2 * NetworkConfig.width
    assert size + missing < BUDGET


def test_the_command_says_what_is_missing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--out", str(run)], "--continue"),
        (["--out", str(tmp_path), "--continue"], "holds no run"),
        (["--out", str(tmp_path), "--autoencoder-steps", "0"], "needs tokens"),
    ):
        with pytest.raises(SystemExit):
            command.train(words, Stripes())
        assert said in capsys.readouterr().err
