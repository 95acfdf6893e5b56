"""Where pictures go: checked before the work, named by the pattern, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesso.cli.output import Destination, Picture, destination, slug
from gesso.errors import OutputError, UsageError

FIELDS = {"slug": "moss", "operation": "generate"}
ONE = [Picture(7, 1, "image")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mossy grey cobblestone", "mossy-grey-cobblestone"),
        ("../../etc/passwd", "etc-passwd"),
        ("Säge & Öl", "sage-ol"),
        ("日本", "picture"),
        ("", "picture"),
        ("a" * 500, "a" * 48),
        ("word " * 500, "-".join(["word"] * 9)),
    ],
)
def test_slugs_are_plain_and_short(text: str, name: str) -> None:
    assert slug(text) == name


def test_names_carry_seed_number_and_role(tmp_path: Path) -> None:
    place = destination(str(tmp_path))
    pictures = [Picture(7, 1, "image"), Picture(7, 1, "height"), Picture(8, 2, "image")]
    names = [path.name for path in place.paths(pictures, FIELDS)]
    assert names == ["moss-7-1.png", "moss-7-1-height.png", "moss-8-2.png"]


def test_the_pattern_can_be_set(tmp_path: Path) -> None:
    place = destination(str(tmp_path), pattern="{operation}_{n:03}")
    assert place.paths(ONE, FIELDS) == [tmp_path / "generate_001.png"]


@pytest.mark.parametrize("pattern", ["{nothing}", "{", "{0}", "{seed.__class__.x}", "a/{n}", "", ".{n}"])
def test_a_pattern_that_names_no_file_is_a_usage_error(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UsageError) as caught:
        Destination(tmp_path, None, pattern, force=False).paths(ONE, FIELDS)
    assert caught.value.field == "pattern"


def test_a_pattern_that_gives_two_pictures_one_name_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several pictures"):
        destination(str(tmp_path), pattern="{slug}").paths([Picture(7, 1, "image"), Picture(8, 2, "image")], FIELDS)


def test_a_trailing_slash_makes_the_folder(tmp_path: Path) -> None:
    place = destination(f"{tmp_path}/new/deep/")
    assert place.paths(ONE, FIELDS) == [tmp_path / "new/deep/moss-7-1.png"]
    assert (tmp_path / "new/deep").is_dir()
    assert list((tmp_path / "new/deep").iterdir()) == [], "the check leaves nothing behind"


def test_a_file_name_takes_one_picture(tmp_path: Path) -> None:
    place = destination(str(tmp_path / "a.png"))
    assert place.paths(ONE, FIELDS) == [tmp_path / "a.png"]
    with pytest.raises(UsageError) as caught:
        place.paths(ONE * 2, FIELDS)
    assert caught.value.field == "output"
    with pytest.raises(UsageError):
        destination(str(tmp_path / "a.png"), count=2)


@pytest.mark.parametrize(
    ("name", "ending", "written"),
    [("a.png", "exr", "a.exr"), ("a.b.tif", "png", "a.b.png"), ("a.tif", "tiff", "a.tif"), ("a.PNG", "png", "a.PNG"), ("a", "exr", "a")],
)
def test_a_file_is_called_what_it_is(tmp_path: Path, name: str, ending: str, written: str) -> None:
    assert destination(str(tmp_path / name)).paths([Picture(7, 1, "image", ending)], FIELDS) == [tmp_path / written]


def test_what_exists_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "moss-7-1.png").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"moss-7-1\.png exists"):
        destination(str(tmp_path)).paths(ONE, FIELDS)
    with pytest.raises(OutputError, match="exists"):
        destination(str(tmp_path / "moss-7-1.png"))
    assert destination(str(tmp_path), force=True).paths(ONE, FIELDS)


@pytest.mark.parametrize("output", ["/proc/nothing/x.png", "/proc/", "{file}/x.png", "{file}/", "{missing}/x.png"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError) as caught:
        destination(output.format(file=tmp_path / "file", missing=tmp_path / "missing"))
    assert caught.value.field == "output"
    assert caught.value.hint
