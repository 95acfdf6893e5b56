"""`gesso verify`: a picture made again has the same bytes; one that was changed has not; one made elsewhere cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_end_to_end import FIRST, Desk

from gesso.media.png import write
from gesso.recipe import Recipe, read_recipe, texts_of


@pytest.fixture
def desk(tmp_path: Path, home: Path) -> Iterator[Desk]:
    found = Desk(home, tmp_path)
    yield found
    found.run("stop")


def rewritten(path: Path, recipe: Recipe, name: str) -> Path:
    """The same pixels with another recipe."""
    pixels = np.asarray(Image.open(path))
    target = path.with_name(name)
    target.write_bytes(write(pixels, texts_of(recipe)))
    return target


def test_bytes_are_compared_or_it_is_said_why_not(desk: Desk) -> None:
    told = desk.json(*FIRST, "-o", "a.png")
    made = Path(told["images"][0]) if Path(told["images"][0]).is_absolute() else desk.folder / told["images"][0]
    done = desk.run("verify", str(made))
    assert done.returncode == 0, done.stderr
    assert "a.png: verified; made again from its recipe, it has the same bytes" in done.stdout

    changed = made.with_name("changed.png")
    changed.write_bytes(made.read_bytes() + b"\0")
    other = desk.run("verify", str(changed), "--json")
    assert other.returncode == 1
    assert json.loads(other.stdout)["verdict"] == "different"

    both = desk.run("verify", str(made), str(changed), "--json")
    assert both.returncode == 1
    assert [one["verdict"] for one in json.loads(both.stdout)["pictures"]] == ["verified", "different"]

    recipe = read_recipe(made)
    assert recipe is not None
    elsewhere = rewritten(made, replace(recipe, environment={**recipe.environment, "torch": "0.1"}), "elsewhere.png")
    assert "not comparable; it was made with another torch" in desk.run("verify", str(elsewhere)).stdout
    quick = rewritten(made, replace(recipe, level="fast"), "quick.png")
    assert "not comparable; it was made at the level 'fast'" in desk.run("verify", str(quick)).stdout

    Image.new("RGB", (4, 4)).save(desk.folder / "plain.png")
    code, error = desk.error("verify", "plain.png")
    assert (code, error["field"]) == (2, "pictures")
    assert "no recipe" in error["message"]


def test_a_picture_of_another_format_is_named_made_and_verified_like_a_png(desk: Desk) -> None:
    told = desk.json(*FIRST, "-o", "moss.webp")
    made = desk.folder / "moss.webp"
    assert made.read_bytes()[8:12] == b"WEBP"
    assert read_recipe(made) is not None
    assert desk.run("verify", str(made)).returncode == 0
    again = desk.json("generate", "--from", str(made), "--format", "OpenEXR", "-o", "light/")
    assert [Path(path).suffix for path in again["images"]] == [".exr"]
    assert again["seed"] == told["seed"]
    maps = desk.json("texture", "brick", "--size", "64", "--seed", "1", "--format", "webp", "-o", "maps/")
    assert sorted({Path(path).suffix for path in maps["images"]}) == [".png", ".webp"]
    assert any("height has samples of the type uint16, which WebP cannot hold" in warning for warning in maps["warnings"])
    wrong = desk.run("generate", "brick", "--format", "wepb", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["error"]["field"] == "format"
    photo = json.loads(desk.run("generate", "brick", "-o", "brick.jpg", "--json").stdout)["error"]
    assert (photo["field"], photo["message"]) == ("output", "Gesso writes no .jpg files.")
