"""The compiled schemas: the committed file is what the models say, and is plain enough for hosts without a JSON Schema library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field

from gesso.errors import PluginError
from gesso.manifest import first_party
from gesso.plugin import OperationParams, Registry, build_plugins, compile_operations, compile_to
from gesso.plugin.fields import Choices, Widget, ui
from gesso.plugin.registry import Fault, PluginState
from gesso.plugin.schemas import dumped, flattened


@pytest.fixture(scope="module")
def registry() -> Registry:
    return build_plugins(first_party())


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(first_party().operations_file.read_text(encoding="utf-8"))
    return content


def test_the_committed_file_equals_the_models(registry: Registry) -> None:
    assert first_party().operations_file.read_text(encoding="utf-8") == dumped(compile_operations(registry)), (
        "run `python -m gesso.plugin.compile`"
    )


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def test_schemas_are_plain(committed: dict[str, Any]) -> None:
    for operation in committed["operations"].values():
        for node in nodes(operation["params"]):
            assert not {"$ref", "$defs", "anyOf"} & set(node)
        assert operation["params"]["additionalProperties"] is False
        for name, field in operation["params"]["properties"].items():
            assert field["title"], name
            assert field["description"], name
            assert name in operation["params"].get("required", []) or "default" in field


def test_hints_keep_to_the_vocabulary(committed: dict[str, Any]) -> None:
    for operation in committed["operations"].values():
        orders = []
        for field in operation["params"]["properties"].values():
            hints = field["x-ui"]
            assert set(hints) <= {"widget", "group", "order", "range", "advanced", "positional", "several", "presets"}
            assert hints["widget"] in get_args(Widget)
            assert field.get("x-choices", "models") in get_args(Choices)
            orders.append(hints["order"])
        assert orders == sorted(set(orders))


def test_the_vocabulary_of_hints_is_documented_whole() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/operations.md"
    text = page.read_text(encoding="utf-8").split("## Hints for panels", 1)[1].split("\n## ", 1)[0]
    keys, widgets = (re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) for table in text.split("| widget | draw |"))
    everything = ui("slider", 1, "group", advanced=True, span=(0, 1, 0.1), choices="models", positional=True, several=True, presets={})
    assert set(keys) == set(everything["x-ui"])
    assert sorted(widgets) == sorted(get_args(Widget))
    sentence = text.split("`x-choices` is ", 1)[1].split(".\n", 1)[0]
    assert set(get_args(Choices)) <= set(re.findall(r"`(\w+)`", sentence))


def test_every_widget_of_the_vocabulary_but_the_mask_is_used(committed: dict[str, Any]) -> None:
    used = {
        field["x-ui"]["widget"] for operation in committed["operations"].values() for field in operation["params"]["properties"].values()
    }
    assert set(get_args(Widget)) - used <= {"mask"}


def test_catalogues_list_every_sampler_and_schedule(registry: Registry, committed: dict[str, Any]) -> None:
    assert [entry["name"] for entry in committed["catalogues"]["samplers"]] == sorted(registry.samplers.names)
    assert [entry["name"] for entry in committed["catalogues"]["schedules"]] == sorted(registry.schedules.names)
    assert set(committed["catalogues"]["samplers"][0]) == {"name", "title", "paper", "order", "evaluations", "stochastic", "aliases"}


@pytest.mark.parametrize(
    ("params", "valid"),
    [
        ({"prompt": "moss"}, True),
        ({"prompt": "moss", "width": None, "image": None, "seed": 0, "guidance": 1}, True),
        ({"prompt": "moss", "image": {"sha256": "a" * 64}}, True),
        ({}, False),
        ({"prompt": ""}, True),  # with a picture to start from; `resolve` tells
        ({"prompt": "x" * 10_001}, False),
        ({"prompt": "moss", "width": 99_999}, False),
        ({"prompt": "moss", "width": 0}, False),
        ({"prompt": "moss", "steps": 0}, False),
        ({"prompt": "moss", "steps": 2.5}, False),
        ({"prompt": "moss", "tile": "z"}, False),
        ({"prompt": "moss", "image": {"sha256": "A" * 64}}, False),
        ({"prompt": "moss", "colour": "red"}, False),
    ],
)
def test_the_file_and_the_model_judge_alike(registry: Registry, committed: dict[str, Any], params: dict[str, Any], valid: bool) -> None:
    validator = jsonschema_rs.validator_for(committed["operations"]["generate"]["params"])
    assert validator.is_valid(params) is valid
    kind = registry.operation("generate").Params
    if valid:
        kind.model_validate(params)
    else:
        with pytest.raises(ValueError, match="validation error"):
            kind.model_validate(params)


class Inner(BaseModel):
    side: int = 3


class Sample(OperationParams):
    number: Annotated[int | None, Field(ge=1)] = None
    choice: Literal["a", "b"] | None = None
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    either: int | str = 1


def test_flattening_keeps_what_it_cannot_make_simple() -> None:
    fields = flattened(Sample.model_json_schema())["properties"]
    assert fields["number"] == {"type": ["integer", "null"], "minimum": 1, "default": None, "title": "Number"}
    assert fields["choice"]["type"] == ["string", "null"]
    assert fields["choice"]["enum"] == ["a", "b", None]
    assert fields["inner"]["type"] == ["object", "null"]
    assert fields["inner"]["properties"]["side"]["type"] == "integer"
    assert fields["several"]["items"]["properties"]["side"]["default"] == 3
    assert fields["either"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]


class Endless(OperationParams):
    below: Endless | None = None


def test_a_type_that_contains_itself_is_refused() -> None:
    with pytest.raises(PluginError, match="Endless"):
        flattened({"$ref": "#/$defs/Endless", "$defs": Endless.model_json_schema()["$defs"]})


def test_compiling_writes_once_and_refuses_a_broken_registry(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "operations.json"
    assert compile_to(path, registry) is True
    assert compile_to(path, registry) is False
    assert [entry.name for entry in tmp_path.iterdir()] == ["operations.json"]
    broken = Registry(registry.manifest)
    broken.plugins.append(PluginState(registry.manifest.plugins[0], faults=(Fault("imaging", "", "The plugin 'imaging' broke."),)))
    with pytest.raises(PluginError, match="broke"):
        compile_to(path, broken)
    assert json.loads(path.read_text())["operations"]


def test_compiling_what_is_committed_changes_nothing() -> None:
    found = subprocess.run([sys.executable, "-m", "gesso.plugin.compile"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("Nothing changed in")
    assert found.stderr == ""


def test_no_kind_of_model_takes_the_name_of_a_catalogue(committed: dict[str, Any]) -> None:
    """Models are catalogued by their kind and an "s": one called like a catalogue of plugins' things would stand in its place."""
    assert {f"{model.kind}s" for model in first_party().models}.isdisjoint(committed["catalogues"])
