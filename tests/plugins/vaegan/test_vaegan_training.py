"""The VAE-GAN's training on a tiny configuration: it learns, resumes exactly, starts from a file, tells of collapse, and refuses what does
not fit in a sentence.
"""

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
from tests.plugins.sources import Stripes
from tests.plugins.vaegan.conftest import CAPTIONS, TINY, tiny

from gesso.errors import DataError, GessoError, InvalidRequest, ModelError
from gesso.training.checkpoint import load_checkpoint
from gesso.training.tokenizer import train_tokenizer
from gesso.training.vocabulary import NAME as VOCABULARY
from gesso.training.vocabulary import spelled
from gesso_plugins.vaegan import command
from gesso_plugins.vaegan.config import DataConfig, LossConfig, VaeganConfig
from gesso_plugins.vaegan.data import draw_batch
from gesso_plugins.vaegan.storage import FILE, Painter
from gesso_plugins.vaegan.train import WEIGHTS, Training, train_vaegan

EndedAfter = Callable[[int, Callable[[], object]], None]
pytestmark = pytest.mark.filterwarnings("ignore")


def prepared(config: VaeganConfig) -> Training:
    training = Training(Stripes(), config)
    training.prepare(None)
    return training


def test_what_the_encoder_saw_comes_back(tmp_path: Path) -> None:
    training = prepared(dataclasses.replace(tiny(tmp_path, 40), learning_rate=4e-3, critic_rate=2e-3))
    with training.run.opened():
        first = training._one_step()
        training.loop()
    terms = training._one_step()
    assert terms["pixels"] < 0.6 * first["pixels"]
    assert set(terms) == {"loss", "prior", "agreement", "likeness", "pixels", "adversarial", "critic"}


@pytest.mark.parametrize("adversary", ["bce", "wasserstein"])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, ended_after: EndedAfter, adversary: str) -> None:
    """Without the critic's estimates of its singular vectors in the checkpoint, bce differs."""
    train_vaegan(Stripes(), tiny(tmp_path / "whole", 5, adversary))
    ended_after(3, lambda: train_vaegan(Stripes(), tiny(tmp_path / "broken", 5, adversary)))
    stopped = load_checkpoint(tmp_path / "broken" / "checkpoint")
    assert stopped is not None
    assert stopped.facts["step"] == 3
    train_vaegan(Stripes(), tiny(tmp_path / "broken", 5, adversary))
    whole, broken = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "broken"))
    assert whole is not None
    assert broken is not None
    assert set(whole.tensors) == set(broken.tensors)
    assert all(torch.equal(value, whole.tensors[name]) for name, value in broken.tensors.items())
    lines = (tmp_path / "broken" / "loss.csv").read_text().splitlines()
    assert lines[0].endswith("diversity")
    assert (tmp_path / "broken" / "sheets" / "000005.webp").exists()


def test_the_encoder_is_not_told_what_the_critic_says(tmp_path: Path) -> None:
    """Larsen's algorithm 1; without the detached seeds its weights would move."""
    only = LossConfig(prior=(0, 0), agreement=0, likeness=0, pixels=0, adversarial=1, annealed=0)
    training = prepared(dataclasses.replace(tiny(tmp_path, 5), loss=only))
    before = {name: value.clone() for name, value in training.networks.named_tensors().items()}
    training._one_step()
    moved = {name for name, value in training.networks.named_tensors().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"words", "generator", "critic"}
    training.run.journal.close()


def test_the_critic_is_heard_once_the_words_are_learned(tmp_path: Path) -> None:
    config = dataclasses.replace(tiny(tmp_path, 8), loss=LossConfig(annealed=0.5))
    training = prepared(config)
    terms = [training._one_step() for _ in range(8)]
    assert ["adversarial" in each for each in terms] == [False] * 5 + [True] * 3
    assert terms[7]["adversarial"] > terms[5]["adversarial"] > 0
    training.run.journal.close()


def test_the_critic_learns_faster(tmp_path: Path) -> None:
    training = prepared(dataclasses.replace(tiny(tmp_path, 5), learning_rate=0.0, matrix_rate=0.0))
    before = {name: value.clone() for name, value in training.networks.named_tensors().items()}
    training._one_step()
    moved = {name for name, value in training.networks.named_tensors().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"critic"}
    rates = [group["base_lr"] for group in training.run.optimiser.param_groups]
    assert rates == [0.0, 0.0, 0.0, VaeganConfig.critic_rate]
    assert VaeganConfig.critic_rate == 2 * VaeganConfig.learning_rate
    training.run.journal.close()


def test_wrong_words_are_of_another_material_or_colour(tmp_path: Path) -> None:
    training = prepared(tiny(tmp_path, 5))
    pool = training.pool
    whose = {tuple(pool.ids([i])[0].tolist()): pool.kinds[i] for i in range(len(pool))}
    batch = draw_batch(pool, 64, (1, 2))
    pairs = [(whose[tuple(a.tolist())], whose[tuple(b.tolist())]) for a, b in zip(batch.ids, batch.wrong, strict=True)]
    assert all(own != other for own, other in pairs)
    assert any(own[0] == other[0] for own, other in pairs)
    assert any(own[0] != other[0] for own, other in pairs)
    training.run.journal.close()


def test_collapse_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A generator that does not hear its noise makes one picture of a caption, whatever the seed."""
    training = prepared(tiny(tmp_path, 5))
    training.watch()
    assert not training.health.collapsed
    training.run.average.tensors["generator.enter.weight"][:, : TINY.latent] = 0
    training.save()
    assert training.health.share < 0.01
    assert "COLLAPSED" in capsys.readouterr().err
    record = FILE.told(tmp_path / WEIGHTS).record
    assert (record["collapsed"], record["diversity"]) == (True, 0.0)
    training.run.journal.close()


def test_a_run_starts_from_a_file(untrained: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(tiny(tmp_path, 4), learning_rate=0.0, matrix_rate=0.0, critic_rate=0.0)
    warm = train_vaegan(Stripes(), config, untrained)
    told = FILE.told(warm)
    assert told.record["step"] == 4  # on from the file's third
    assert spelled(told.tokenizer) == spelled(FILE.told(untrained).tokenizer)
    before, after = load_file(untrained), load_file(warm)
    assert all(torch.equal(value, after[name]) for name, value in before.items() if not name.endswith(("._u", "._v")))
    narrow = dataclasses.replace(tiny(tmp_path / "other", 4), network=dataclasses.replace(TINY, words=4))
    with pytest.raises(InvalidRequest, match="other sizes"):
        train_vaegan(Stripes(), narrow, untrained)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_vaegan(Stripes(), tiny(tmp_path_factory.mktemp("run"), 1)).parent


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"loss": LossConfig(adversary="wasserstein")}, "invalid", r'begun with another loss.adversary \("bce", not "wasserstein"\)'),
        ({"batch": 4}, "invalid", r"begun with another batch \(8, not 4\)"),
        ({"data": DataConfig(materials=("rows", "velvet"), layouts=0)}, "invalid", "no material 'velvet'"),
    ],
)
def test_a_run_does_not_go_on_with_another_recipe(run: Path, change: dict[str, Any], code: str, said: str) -> None:
    before = (run / "checkpoint" / "state.safetensors").read_bytes()
    with pytest.raises(GessoError, match=said) as fault:
        train_vaegan(Stripes(), dataclasses.replace(tiny(run, 2), **change))
    assert fault.value.code == code
    assert (run / "checkpoint" / "state.safetensors").read_bytes() == before


def test_a_run_does_not_go_on_with_another_vocabulary(run: Path) -> None:
    own = (run / VOCABULARY).read_text()
    other = spelled(train_tokenizer([word[::-1] for word in CAPTIONS], vocabulary=TINY.vocabulary, length=TINY.length))
    for text, said in ((other, "not the one that the run learned with"), ("{}", "cannot be read")):
        (run / VOCABULARY).write_text(text)
        with pytest.raises(DataError, match=said):
            train_vaegan(Stripes(), tiny(run, 2))
    (run / VOCABULARY).write_text(own)


def test_one_material_in_one_colour_teaches_no_words(tmp_path: Path) -> None:
    class Plain(Stripes):
        def sample(self, rng: Any, size: int, materials: Any = None) -> Any:
            return dataclasses.replace(super().sample(rng, size, ("rows",)), labels={"material": "rows", "colour": "red"})

    with pytest.raises(DataError, match="one material and colour"):
        train_vaegan(Plain(), tiny(tmp_path, 2))


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
        ({"format": "pt"}, "no VAE-GAN"),
        ({"version": "9"}, "version '9'"),
        ({"config": "{}"}, "metadata"),
        ({"config": json.dumps(json.loads(TINY.as_json()) | {"words": 10**9})}, "metadata"),
        ({"config": json.dumps(json.loads(TINY.as_json()) | {"words": 60_000})}, "tensors"),
        ({"vocabulary": json.dumps({"entries": {"a": 0}, "merges": [], "length": 8})}, "vocabulary"),
    ],
)
def test_a_file_that_is_none_is_told_from_one(untrained: Path, tmp_path: Path, words: dict[str, str], said: str) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(load_file(untrained), path, metadata(untrained) | words)
    with pytest.raises(ModelError, match=said):
        FILE.load(path)


def test_the_recipe_fits_its_budget(tmp_path: Path) -> None:
    from gesso_plugins.vaegan.config import NetworkConfig
    from gesso_plugins.vaegan.storage import BUDGET

    words = train_tokenizer(CAPTIONS, vocabulary=NetworkConfig.vocabulary, length=NetworkConfig.length)
    size = FILE.save(tmp_path / "own.safetensors", Painter.new(NetworkConfig(), words), {})
    missing = 2 * (NetworkConfig.vocabulary - len(words)) * NetworkConfig.text_width
    assert size + missing < BUDGET


def test_the_command_says_what_is_missing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--out", str(run)], "--continue"),
        (["--out", str(tmp_path), "--continue"], "holds no run"),
        (["--out", str(run), "--continue", "--from", "x.safetensors"], "leave out --from"),
    ):
        with pytest.raises(SystemExit):
            command.train(words, Stripes())
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("adversary", ["bce", "wasserstein"])
def test_half_precision_learns_the_same_but_rounded(tmp_path: Path, adversary: str) -> None:
    """Three steps: weights stay float32, and every term is near that of full precision."""
    slow = {"learning_rate": 2e-4, "matrix_rate": 1e-3, "critic_rate": 4e-4}
    runs = {half: tiny(tmp_path / str(half), 5, adversary) for half in (False, True)}
    whole, halved = (prepared(dataclasses.replace(run, half=half, **slow)) for half, run in runs.items())
    for _ in range(3):
        wanted, found = whole._one_step(), halved._one_step()
    assert found != wanted
    assert found == pytest.approx(wanted, rel=0.1, abs=0.03)
    assert all(value.dtype == torch.float32 for value in halved.networks.named_tensors().values())
    for training in (whole, halved):
        training.run.journal.close()
