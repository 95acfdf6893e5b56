"""Schema file -> options -> parameters: what is typed arrives as the wire names it, what is not typed is not sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gesso.cli.options import given
from gesso.cli.parser import build
from gesso.cli.schema import Surface, load, parse
from gesso.errors import InvalidRequest, PluginError, UsageError

FILE = Path(__file__).parent / "operations.json"


@pytest.fixture(scope="module")
def surface() -> Surface:
    return load(FILE)


def typed(surface: Surface, *words: str) -> dict[str, Any]:
    return given(build(surface).parse_args(["generate", *words]))


def test_nothing_typed_is_nothing_sent(surface: Surface) -> None:
    assert typed(surface) == {}


def test_every_kind_of_parameter_arrives(surface: Surface) -> None:
    words = ["mossy stone", "--negative", "", "--size", "64x32", "-n", "3", "--seed", "7", "--guidance", "7.5", "--hires"]
    words += ["--tile", "xy", "--image", "a.png", "--weights", "1", "--weights", "-2.5", "--sampler", "euler"]
    assert typed(surface, *words) == {
        "prompt": "mossy stone",
        "negative": "",
        "width": 64,
        "height": 32,
        "count": 3,
        "seed": 7,
        "guidance": 7.5,
        "hires": True,
        "tile": "xy",
        "image": "a.png",
        "weights": [1.0, -2.5],
        "sampler": "euler",
    }
    assert typed(surface, "--no-hires", "--count", "0") == {"hires": False, "count": 0}


def test_weights_are_numbers_by_names_that_may_hold_dots() -> None:
    surface = parse(
        {
            "schema": 1,
            "operations": {
                "pick": {
                    "title": "Pick",
                    "params": {
                        "type": "object",
                        "properties": {
                            "score": {"type": "object", "additionalProperties": {"type": "number"}, "default": {}},
                            "images": {"type": "array", "items": {"type": "object"}, "x-ui": {"widget": "image", "positional": True}},
                        },
                    },
                }
            },
        }
    )

    def picked(*words: str) -> dict[str, Any]:
        return given(build(surface).parse_args(["pick", *words]))

    assert picked("--score", "clip=1, my.own=-0.5", "--score", "seam=2") == {"score": {"clip": 1.0, "my.own": -0.5, "seam": 2.0}}
    assert picked("a.png", "b.png") == {"images": ["a.png", "b.png"]}
    assert picked("--images", "a.png", "--images", "b.png") == {"images": ["a.png", "b.png"]}
    assert picked() == {}
    for wrong in ("clip", "clip=much", "clip=1,,", "=1"):
        with pytest.raises(UsageError):
            picked("--score", wrong)


def test_options_of_a_family_nest_at_dots(surface: Surface) -> None:
    words = ["--options", "sd.clip_skip=2", "--options", "sd.name=abc", "--options", "sd.on=true"]
    assert typed(surface, *words) == {"options": {"sd": {"clip_skip": 2, "name": "abc", "on": True}}}


@pytest.mark.parametrize(
    ("text", "size"), [("512", (512, 512)), ("768x512", (768, 512)), ("0", (0, 0)), ("99999", (99999, 99999)), ("8X4", (8, 4))]
)
def test_sizes(surface: Surface, text: str, size: tuple[int, int]) -> None:
    """Sizes that no model can do are sent all the same: the daemon knows the bounds, and says them."""
    found = typed(surface, "--size", text)
    assert (found["width"], found["height"]) == size


@pytest.mark.parametrize("text", ["", "x", "12x", "1x2x3", "-5", "12.5", "²"])
def test_what_is_no_size_is_a_usage_error(surface: Surface, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        typed(surface, f"--size={text}")
    assert caught.value.field == "size"


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "Infinity", "1e999"])
def test_numbers_that_json_cannot_carry_are_invalid(surface: Surface, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        typed(surface, f"--guidance={text}")
    assert caught.value.field == "guidance"
    with pytest.raises(InvalidRequest):
        typed(surface, "--options", "sd.x=NaN")


@pytest.mark.parametrize(
    ("words", "field"),
    [(["--steps", "many"], "steps"), (["--steps", "2.5"], "steps"), (["--guidance", "much"], "guidance"), (["--options", "x"], "options")],
)
def test_what_is_no_number_is_a_usage_error_with_its_field(surface: Surface, words: list[str], field: str) -> None:
    with pytest.raises(UsageError) as caught:
        typed(surface, *words)
    assert caught.value.field == field


@pytest.mark.parametrize("words", [["--guid", "3"], ["--nothing"], ["two", "words"]])
def test_no_abbreviations_and_nothing_unknown(surface: Surface, words: list[str]) -> None:
    with pytest.raises(UsageError, match="nrecognized arguments"):
        typed(surface, *words)


def test_help_tells_bounds_lists_and_defaults(surface: Surface, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        typed(surface, "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "Steps (1 to 1000)" in text
    assert "see `gesso models list`" in text
    assert "100% seamless (default: none)" in text
    assert "none|x|y|xy" in text
    assert "--size N|WxH" in text
    assert "--width" not in text


def test_a_parameter_may_not_take_the_name_of_an_option(surface: Surface) -> None:
    document = json.loads(FILE.read_text(encoding="utf-8"))
    document["operations"]["generate"]["params"]["properties"]["json"] = {"type": "boolean"}
    with pytest.raises(PluginError, match="'json'"):
        build(parse(document))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 2, "operations": {}}', '{"schema": 1}', '{"schema": 1, "operations": {"x": {}}}']
)
def test_a_broken_schema_file_is_a_fault_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "operations.json"
    path.write_text(text, encoding="utf-8")
    fault = load(path).fault
    assert fault is not None
    assert str(path) in fault.message
    assert "gesso plugins compile" in (fault.hint or "")


def test_pictures_by_name_are_typed_as_name_and_path() -> None:
    blob = {"type": "object", "properties": {"sha256": {"type": "string"}}}
    control = {"type": "object", "title": "Controls", "additionalProperties": blob, "default": {}}
    surface = parse({"schema": 1, "operations": {"generate": {"title": "Generate", "params": {"properties": {"control": control}}}}})
    assert surface.operations["generate"].images == ("control",)
    assert typed(surface, "--control", "canny.v1=a=b.png", "--control", "depth=d.png") == {
        "control": {"canny.v1": "a=b.png", "depth": "d.png"}
    }
    with pytest.raises(UsageError, match="NAME=IMAGE"):
        typed(surface, "--control", "canny")


def test_a_number_may_be_called_size() -> None:
    """Where an operation has no width and height, `size` is a parameter like any other."""
    size = {"title": "Size", "description": "How large.", "type": "integer", "default": 512, "x-ui": {"widget": "slider", "order": 1}}
    operation = {"title": "Paint", "params": {"properties": {"size": size}}}
    surface = parse({"schema": 1, "operations": {"paint": operation}, "catalogues": {}})
    assert given(build(surface).parse_args(["paint", "--size", "128"])) == {"size": 128}
