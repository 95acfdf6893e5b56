"""What lies in a folder: captions in every form, sizes of the model's own, and one clear sentence for each way to be unusable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gesso.errors import DataError
from gesso.model import ModelCard
from gesso_plugins.learning.base import Base
from gesso_plugins.learning.data import bucket, read_folder, refuse_shared

from .conftest import picture


@pytest.fixture
def card(base: Callable[[str], Base]) -> ModelCard:
    return base("epsilon").card


def test_captions_lie_beside_pictures_in_any_of_three_forms(tmp_path: Path, card: ModelCard) -> None:
    for name in ("a", "b", "c"):
        picture(ord(name)).save(tmp_path / f"{name}.png")
    (tmp_path / "a.txt").write_text("red  and\nyellow")
    (tmp_path / "b.json").write_text(json.dumps({"prompt": "yellow"}))
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "c.png", "text": "red"}) + "\n\n")
    assert [sample.caption for sample in read_folder(tmp_path, None, card, None)] == ["red and yellow", "yellow", "red"]
    assert {sample.caption for sample in read_folder(tmp_path, "mine", card, None)} == {"mine"}


def test_pictures_keep_their_shape_at_the_area_of_the_model(tmp_path: Path, card: ModelCard) -> None:
    assert bucket(100, 100, card, 64) == (64, 64)
    wide = bucket(400, 100, card, 64)
    assert wide == (128, 32)
    picture(1, 400, 100).save(tmp_path / "wide.png")
    (sample,) = read_folder(tmp_path, "wide", card, 64)
    assert sample.image.shape == (1, 3, 32, 128)


def damaged(folder: Path) -> None:
    content = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(content[: len(content) // 2])


def no_words(folder: Path) -> None:
    (folder / "2.txt").unlink()


def no_json(folder: Path) -> None:
    (folder / "2.txt").unlink()
    (folder / "2.json").write_text("{")


def no_pictures(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def no_text(folder: Path) -> None:
    (folder / "2.txt").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged, r"1 of 4 pictures of .* cannot be read; the first is 1\.png"),
        (no_words, r"1 of 4 pictures in .* have no caption; the first is 2\.png"),
        (no_json, "are no JSON"),
        (no_text, "not UTF-8 text"),
        (no_pictures, "There are no pictures in"),
        (shutil.rmtree, "There is no folder"),
    ],
)
def test_what_cannot_be_learned_from_is_named(
    pictures: Path, tmp_path: Path, card: ModelCard, spoil: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(pictures, folder)
    spoil(folder)
    with pytest.raises(DataError, match=said) as caught:
        read_folder(folder, None, card, None)
    assert caught.value.code == "data"
    assert caught.value.field == "data"


def test_a_held_out_picture_must_not_be_learned_from_whatever_its_file_is_called(pictures: Path, tmp_path: Path, card: ModelCard) -> None:
    with (pictures / "3.png").open("rb"):
        picture(3).save(tmp_path / "other.webp", lossless=True)
    samples, held_out = read_folder(pictures, None, card, None), read_folder(tmp_path, "striped", card, None)
    with pytest.raises(DataError, match=r"1 of the 1 held-out pictures .* other\.webp \(there 3\.png\)"):
        refuse_shared(samples, held_out)
    refuse_shared(samples[:3], held_out)
