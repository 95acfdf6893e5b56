"""Forms from schemas: the schemas that ship, hints that nobody knows, every kind of field, and what is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gesso.errors import InvalidRequest
from gesso_bridges.panel import form
from gesso_bridges.panel.form import KINDS, Surface, parse

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = json.loads((ROOT / "plugins/gesso_plugins/operations.json").read_text(encoding="utf-8"))


def surface(properties: dict[str, Any], required: tuple[str, ...] = (), **catalogues: Any) -> Surface:
    params = {"type": "object", "properties": properties, "required": list(required)}
    return parse({"operations": {"op": {"title": "Op", "summary": "Does.", "plugin": "p", "params": params}}, "catalogues": catalogues})


def test_every_shipped_operation_is_drawn_whole() -> None:
    shipped = parse(SHIPPED)
    assert set(shipped.forms) == set(SHIPPED["operations"])
    for name, drawn in shipped.forms.items():
        properties = SHIPPED["operations"][name]["params"]["properties"]
        assert {found.name for found in drawn.fields} == set(properties)
        assert all(found.kind in KINDS for found in drawn.fields)
        shown = [found for group in drawn.groups for found in group.fields]
        assert [found.name for found in shown] == [found.name for found in drawn.fields if found.kind != "hidden"]


def test_texture_reads_as_its_author_meant() -> None:
    texture = parse(SHIPPED).forms["texture"]
    titles = [group.title for group in texture.groups if not group.advanced]
    assert titles[0] == "Prompt"
    assert {"Model", "Size", "Sampling"} <= set(titles)
    assert (texture["prompt"].kind, parse(SHIPPED).forms["generate"]["prompt"].required) == ("lines", True)
    assert (texture["seed"].kind, texture["seed"].optional) == ("seed", True)
    assert [choice.value for choice in texture["tile"].choices] == ["none", "x", "y", "xy"]
    assert texture["score"].kind == "hidden"
    assert texture["best_of"].advanced


def test_catalogues_are_choices_with_the_models_own_first() -> None:
    drawn = parse(SHIPPED)
    samplers = drawn.choices(drawn.forms["generate"]["sampler"])
    assert (samplers[0].value, samplers[0].title) == (None, "Automatic")
    assert {"euler", "dpmpp_2m"} <= {choice.value for choice in samplers}
    upscalers = drawn.choices(drawn.forms["upscale"]["upscaler"])
    assert None not in [choice.value for choice in upscalers]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ({"type": "number", "x-ui": {"widget": "hologram", "order": 1}}, "number"),
        ({"type": ["integer", "null"], "x-ui": {"widget": "hologram"}}, "integer"),
        ({"type": "string", "x-ui": "not even an object"}, "text"),
        ({"type": "boolean"}, "toggle"),
        ({"type": "object"}, "json"),
        ({"type": "array", "items": {"type": "number"}, "x-ui": {"widget": "slider"}}, "json"),
        ({"type": "string", "enum": ["a", "b"], "x-ui": {"widget": "hologram"}}, "choice"),
        ({"type": "array", "x-ui": {"widget": "image"}}, "images"),
        ({"type": "string", "x-ui": {"widget": "mask"}}, "json"),
        ({"type": "string", "x-ui": {"widget": "seed"}}, "text"),
    ],
)
def test_a_hint_that_is_unknown_or_does_not_fit_leaves_a_plain_field(raw: dict[str, Any], kind: str) -> None:
    drawn = surface({"thing": raw}).forms["op"]
    assert drawn["thing"].kind == kind
    assert drawn["thing"].title == "Thing"
    assert [found.name for group in drawn.groups for found in group.fields] == ["thing"]


def test_an_operation_that_cannot_be_read_takes_no_other_away() -> None:
    document = {"operations": {"broken": {"title": "Broken"}, "odd": None, **SHIPPED["operations"]}, "catalogues": {}}
    assert set(parse(document).forms) == set(SHIPPED["operations"])


def test_only_what_differs_from_the_defaults_is_sent() -> None:
    texture = parse(SHIPPED).forms["texture"]
    assert texture.params({"prompt": "moss", "count": 1, "seed": None, "tile": "x", "width": 512}) == {
        "prompt": "moss", "width": 512, "tile": "x",
    }  # fmt: skip
    assert texture.params({"prompt": "moss", "seed": 7.0}) == {"prompt": "moss", "seed": 7}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({}, "prompt", "missing"),
        ({"prompt": "  "}, "prompt", "empty"),
        ({"prompt": "x" * 10001}, "prompt", "longer"),
        ({"prompt": "moss", "width": 5}, "width", "at least 16"),
        ({"prompt": "moss", "width": 16.5}, "width", "whole"),
        ({"prompt": "moss", "width": float("nan")}, "width", "number"),
        ({"prompt": "moss", "tile": "z"}, "tile", "one of none, x, y, xy"),
        ({"prompt": "moss", "colour": 1}, "colour", "no parameter"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        parse(SHIPPED).forms["generate"].params(values)
    assert caught.value.field == field


def test_exclusive_bounds_hold() -> None:
    strength = parse(SHIPPED).forms["edit"]["strength"]
    assert strength.fault(0) == "Strength must be more than 0, not 0."
    assert strength.fault(0.01) is None
    assert strength.slider == (0.05, 1.0, 0.05)


def test_a_seed_fits_into_a_host_with_small_numbers() -> None:
    assert parse(SHIPPED).forms["texture"]["seed"].span == (0, 2**31 - 1)


def test_colours_and_json_survive_a_widget() -> None:
    assert form.rgb_to_colour(form.colour_to_rgb("#12ab9f")) == "#12ab9f"
    assert form.rgb_to_colour((2.0, -1.0, 0.5)) == "#ff0080"
    with pytest.raises(InvalidRequest):
        form.colour_to_rgb("red")
    assert form.text_to_json(form.json_to_text({"a": [1, "ü"]})) == {"a": [1, "ü"]}
    assert form.text_to_json("  ") is None
    with pytest.raises(InvalidRequest, match="must be JSON"):
        form.text_to_json("{a}", "Score")
