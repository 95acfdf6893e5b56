"""`gesso evaluate MODEL --data ...`: a real daemon's pictures measured, every way that data can be unusable, and which command is meant."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gesso.cli import app
from gesso.client import Client
from gesso.errors import DataError, GessoError, InvalidRequest, UsageError
from gesso.plugin import Registry
from gesso.training.materials import MATERIALS
from gesso_plugins.evaluation import report
from gesso_plugins.evaluation.command import orders_of, run
from gesso_plugins.evaluation.data import from_folder, from_prompts, from_source

Picture = npt.NDArray[np.uint8]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures with their words."""
    made = tmp_path / "pictures"
    made.mkdir()
    for number, words in enumerate(("red brick", "green grass", "blue tiles")):
        pixels = np.random.default_rng(number).integers(0, 256, (24 + number, 32, 3), np.uint8)
        Image.fromarray(pixels).save(made / f"{number}.png")
        (made / f"{number}.txt").write_text(words)
    return made


@pytest.mark.timeout(600)
def test_a_model_is_measured_by_a_real_daemon(
    daemon: subprocess.Popen[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["procedural", "--data", "procedural", "--materials", "brick,marble", "--count", "4", "--size", "64", "--out", str(out)]
    assert run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((out / "report.json").read_text())
    assert document["model"]["name"] == "procedural"
    assert document["features"]["name"] == "clip"
    assert list(document["figures"]) == [
        "clip_frechet", "clip_kernel", "clip_precision", "clip_recall", "clip_diversity", "clip_score",
        "material_accuracy", "colour_accuracy", "seam", "images_per_second",
    ]  # fmt: skip
    assert all(np.isfinite(figure["made"]) for figure in document["figures"].values())
    assert not any("FID" in figure["title"] or "Inception" in figure["title"] for figure in document["figures"].values())
    with Image.open(out / "sheet.webp") as sheet:
        assert sheet.width > 4 * report.SIDE

    assert (
        run(["procedural", "--data", "procedural", "--fixed", "--twelve", "--count", "3", "--size", "64", "--out", str(out), "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["data"] == {"name": "procedural, fixed prompts", "pictures": 3}
    assert document["figures"]["material_accuracy"]["made"] == document["figures"]["material_accuracy"]["data"] == 1.0

    assert run(["procedural", "--data", str(folder), "--count", "4", "--size", "32", "--out", str(out)]) == 0
    table = capsys.readouterr().out
    assert "Frechet distance over CLIP features" in table
    assert "4 pictures against 3 of" in table
    assert "seam" not in table, "what need not wrap around is not measured for it"
    with pytest.raises(InvalidRequest, match="procedurl") as caught:
        run(["procedurl", "--data", str(folder)])
    assert (caught.value.code, caught.value.field) == ("invalid", "model")
    with Client(start=False) as client:
        assert client.jobs() == [], "an evaluation leaves the history as it was"


def no_pictures(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def one_picture(folder: Path) -> None:
    for path in (folder / "1.png", folder / "2.png"):
        path.unlink()


def no_words(folder: Path) -> None:
    (folder / "1.txt").unlink()


def damaged(folder: Path) -> None:
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:200])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_pictures, "There are no pictures in"),
        (one_picture, "too few"),
        (no_words, r"1 of 3 pictures in .* have no caption; the first is 1\.png"),
        (damaged, r"1 of 3 pictures of .* cannot be read; the first is 2\.png"),
    ],
)
def test_data_that_cannot_measure_anything_is_refused_before_a_daemon_is_asked(
    spoil: Callable[[Path], None], said: str, folder: Path, home: Path
) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=said) as caught:
        run(["procedural", "--data", str(folder)])
    assert (caught.value.code, caught.value.field) == ("data", "data")
    assert caught.value.hint
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "kind", "field"),
    [
        (["--data", "nowhere"], DataError, "data"),
        (["--data", "procedural", "--count", "1"], UsageError, "count"),
        (["--data", "procedural", "--materials", "brick,butter"], UsageError, "materials"),
        (["--data", "procedural", "--prompt", "moss"], UsageError, "prompt"),
        (["--data", ".", "--materials", "brick"], UsageError, "materials"),
        (["--data", ".", "--fixed"], UsageError, "fixed"),
        (["--data", "procedural", "--fixed", "--seed", "4"], UsageError, "seed"),
        (["--data", "procedural", "--fixed", "--size", "16"], UsageError, "fixed"),
        (["--data", "procedural", "--twelve", "--materials", "brick"], UsageError, "materials"),
        (["--data", "procedural", "--fixed", "--twelve", "--count", "2", "--materials", "brick"], UsageError, "materials"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], kind: type[GessoError], field: str) -> None:
    with pytest.raises(kind) as caught:
        run(["procedural", *words])
    assert caught.value.field == field


def test_a_folder_gives_its_pictures_evenly_and_its_captions_in_turn(folder: Path) -> None:
    whole = from_folder(folder, None, None)
    assert [picture.shape for picture in whole.pictures] == [(24, 32, 3), (25, 32, 3), (26, 32, 3)]
    assert whole.captions == ("red brick", "green grass", "blue tiles")
    assert from_folder(folder, None, 2).captions == ("red brick", "green grass")
    more = from_folder(folder, None, 5)
    assert more.captions == ("red brick", "green grass", "blue tiles", "red brick", "green grass")
    assert len(more.pictures) == 3
    assert set(from_folder(folder, "moss", None).captions) == {"moss"}


def test_renders_are_the_same_again_and_of_every_material_equally_often(registry: Registry) -> None:
    source = registry.dataset("procedural")
    data, again = (from_source(source, ("brick", "marble"), 16, 5) for _ in range(2))
    assert [label["material"] for label in data.labels] == ["brick", "marble", "brick", "marble", "brick"]
    assert data.captions == again.captions
    assert np.array_equal(data.pictures, again.pictures)


def test_fixed_prompts_bring_their_seeds_and_what_they_must_show(registry: Registry) -> None:
    judge, source = registry.judge_of("procedural"), registry.dataset("procedural")
    assert judge is not None
    prompts = [each for each in judge.prompts if each.labels["material"] in MATERIALS]
    assert (len(judge.prompts), len(prompts)) == (500, 137)
    data = from_prompts(source, prompts[:3], 64)
    assert data.captions == [each.words for each in prompts[:3]]
    assert data.seeds == [each.seed for each in prompts[:3]]
    assert data.labels == [each.labels for each in prompts[:3]]
    options = argparse.Namespace(model="dalle", size=64, steps=None, guidance=None, tile=None, seed=1)
    asked = {"model": "dalle", "width": 64, "height": 64, "tile": "xy"}
    wanted = [{**asked, "prompt": each.words, "seed": each.seed} for each in prompts[:3]]
    assert orders_of(options, data) == wanted
    assert [order["seed"] for order in orders_of(options, replace(data, seeds=()))] == [1, 2, 3]
    assert judge.judge(np.stack(data.pictures))[0]["material"] == prompts[0].labels["material"]
    with pytest.raises(UsageError, match="Fewer than two"):
        from_prompts(source, prompts[:1], 64)


class Brightness:
    """A judge of two materials."""

    name: ClassVar[str] = "brightness"
    dataset: ClassVar[str] = "greys"
    smallest: ClassVar[int] = 1
    labels: ClassVar[dict[str, tuple[str, ...]]] = {"material": ("dark", "bright")}

    def judge(self, images: Picture) -> list[dict[str, str]]:
        """By the mean."""
        return [{"material": "bright" if image.mean() > 127 else "dark"} for image in images]


def plain(level: int) -> Picture:
    return np.full((8, 8, 3), level, np.uint8)


def test_the_judge_is_asked_what_was_made_and_what_the_data_shows() -> None:
    wanted = [{"material": "bright"}, {"material": "dark"}]
    (figure,) = report.judged(Brightness(), [plain(200), plain(200)], [plain(200), plain(0)], wanted)
    assert (figure.key, figure.made, figure.data) == ("material_accuracy", 0.5, 1.0)
    assert figure.cells()[1:] == ("50.0%", "100.0%")


def test_the_seam_is_that_of_the_axes_that_wrap() -> None:
    """A ramp along x steps once by 7/8 of its range across its border, and seven times by 1/8 inside; along y it does not step."""
    ramp = np.repeat(np.arange(0, 80, 10, np.uint8)[None, :, None], 8, 0).repeat(3, 2)
    (figure,) = report.seam_error([ramp], [plain(9)], "x")
    assert (figure.made, figure.data) == (7.0, 0.0)
    assert report.seam_error([ramp], [ramp], "none") == []


def test_equal_features_are_no_distance_apart() -> None:
    rows = np.random.default_rng(0).standard_normal((12, 4))
    found = {figure.key: figure for figure in report.distances("clip", "CLIP", (rows, rows), ("Frechet", "kernel"))}
    assert found["clip_frechet"].made == pytest.approx(0, abs=1e-9)
    assert (found["clip_precision"].made, found["clip_recall"].made) == (1, 1)
    assert found["clip_diversity"].made == found["clip_diversity"].data


def test_a_trainers_own_evaluation_stays_and_with_data_it_is_a_model_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["evaluate", "--help"], "usage: gesso evaluate "), (["evaluate", "starter", "--help"], "fixed prompts")):
        with pytest.raises(SystemExit):
            app.run(words)
        assert said in capsys.readouterr().out
    for words in (["evaluate", "starter", "--data", "nowhere"], ["evaluate", "starter", "--data=nowhere"]):
        assert app.run([*words, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "data"
    with pytest.raises(SystemExit):
        app.run(["--help"])
    assert capsys.readouterr().out.count("Measure what a model makes") == 1
