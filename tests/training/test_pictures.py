"""A folder of pictures in the place of renders: squares of them with their words, and a family that learns from it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.plugins.vaegan.test_vaegan_training import tiny as tiny_vaegan

from gesso.errors import DataError, InvalidRequest
from gesso.training.arguments import Training, refuse_mixture, train_parser
from gesso.training.pictures import KEPT, FolderSource
from gesso.training.renders import Request, Universe, draw
from gesso.training.variety import stays_still
from gesso_plugins.vaegan.train import WEIGHTS, train_vaegan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A wide, a high and a large picture; from left to right they grow lighter."""
    made = tmp_path / "pictures"
    made.mkdir()
    for words, (width, height) in {"red rows": (60, 40), "blue columns": (40, 60), "green moss": (700, 520)}.items():
        ramp = np.linspace(0, 255, width, dtype=np.uint8)
        Image.fromarray(np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2)).save(made / f"{words}.png")
        (made / f"{words}.txt").write_text(words)
    return made


def test_samples_are_squares_with_their_words_and_the_same_again(folder: Path) -> None:
    source = copy.deepcopy(FolderSource.of(folder, None))  # the process that draws beside a training gets a copy
    request = Request(Universe.TRAIN, 32)
    drawn = [draw(source, request, 1, i) for i in range(60)]
    assert {words for _, words, _ in drawn} == {"red rows", "blue columns", "green moss"}
    assert all(image.shape == (32, 32, 3) and labels == {"material": words, "colour": ""} for image, words, labels in drawn)
    assert all(np.array_equal(image, draw(source, request, 1, i)[0]) for i, (image, _, _) in enumerate(drawn))
    slopes = [int(image[16, -1, 0]) - int(image[16, 0, 0]) for image, _, _ in drawn]
    assert 15 < sum(slope < 0 for slope in slopes) < 45, "about half of them are mirrored"
    wide = [abs(slope) for slope, (_, words, _) in zip(slopes, drawn, strict=True) if words == "red rows"]
    assert min(wide) > 0.6 * 255 * 0.7 * 40 / 60
    assert max(wide) < 1.05 * 255 * 40 / 60
    assert source.sample(np.random.default_rng(1), 8, ["green moss"]).caption == "green moss"
    assert stays_still(source, 0), "nobody may roll what does not close at its borders"


def test_large_pictures_are_kept_small(folder: Path) -> None:
    from gesso.training.pictures import _read

    assert _read(folder / "green moss.png").shape[0] == KEPT


def test_folders_that_teach_nothing_are_refused(folder: Path, tmp_path: Path) -> None:
    assert {FolderSource.of(folder, "moss").sample(np.random.default_rng(i), 8).caption for i in range(9)} == {"moss"}
    (folder / "red rows.txt").unlink()
    with pytest.raises(DataError, match="have no caption"):
        FolderSource.of(folder, None)
    (folder / "red rows.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 3 pictures of .* cannot be read; the first is red rows\.png"):
        FolderSource.of(folder, "moss")
    with pytest.raises(DataError, match="There is no folder"):
        FolderSource.of(tmp_path / "nowhere", None)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="There are no pictures"):
        FolderSource.of(folder, "moss")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", "moss"], "add --data"),
        (["--data", "x", "--materials", "brick"], "leave them out with --data"),
        (["--data", "x", "--layouts", "3"], "leave them out with --data"),
    ],
)
def test_options_of_renders_and_of_folders_do_not_mix(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    training = Training("any", "Train.", steps=1, layouts=1, folders=True)
    parser = train_parser(training)
    with pytest.raises(SystemExit):
        refuse_mixture(parser, parser.parse_args(words), training)
    assert said in capsys.readouterr().err


def test_a_family_learns_from_a_folder(folder: Path, tmp_path: Path) -> None:
    source = FolderSource.of(folder, None)
    config = tiny_vaegan(tmp_path / "run", 2)
    with pytest.raises(InvalidRequest, match="no material 'rows'"):
        train_vaegan(source, config)
    file = train_vaegan(source, replace(config, data=replace(config.data, materials=())))
    assert file.name == WEIGHTS
    assert file.stat().st_size > 1000
