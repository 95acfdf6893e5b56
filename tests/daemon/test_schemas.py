"""Schemas as files: several at once, models that the owner adds while the front runs, and files that cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gesso.daemon.schemas import Schemas
from gesso.errors import GessoError, InvalidRequest, ModelError, PluginError
from gesso.library.recognition import KINDS
from gesso.manifest import ModelEntry, first_party
from gesso.strangers import Record, Shelf

HERE = Path(__file__).parent


def document(**operations: object) -> str:
    return json.dumps({"schema": 1, "operations": operations, "catalogues": {"samplers": []}})


@pytest.fixture
def schemas(tmp_path: Path) -> Schemas:
    extra = tmp_path / "stranger.json"
    extra.write_text(document(**{"stranger.blur": {"title": "Blur", "summary": "", "plugin": "stranger", "params": {"type": "object"}}}))
    model = ModelEntry("plain", "family", "Plain", None, ())
    return Schemas([HERE / "operations.json", extra], [model], tmp_path / "models.json")


def test_files_of_several_plugins_are_one_surface(schemas: Schemas) -> None:
    assert schemas.check("stranger.blur", {}).params == {}
    assert schemas.check("paint", {"prompt": "x", "seed": 3}).params["seed"] == 3
    digest, raw = schemas.describe()
    assert set(json.loads(raw)["operations"]) == {"paint", "stranger.blur"}
    assert schemas.describe() == (digest, raw)


def test_models_may_be_added_while_the_front_runs(schemas: Schemas, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="There is no model 'mine'"):
        schemas.check("paint", {"prompt": "x", "model": "mine"})
    (tmp_path / "models.json").write_text(json.dumps([{"name": "mine", "family": "f", "title": "Mine", "path": "/secret"}]))
    checked = schemas.check("paint", {"prompt": "x", "model": "mine"})
    assert schemas.model_of(checked.params) == "mine"
    assert [model["name"] for model in schemas.models()] == ["plain", "mine"]
    assert "/secret" not in json.dumps(schemas.models())
    (tmp_path / "models.json").write_text("{")
    with pytest.raises(ModelError, match=r"models\.json"):
        schemas.check("paint", {"prompt": "x"})


def test_a_model_of_any_kind_leaves_the_catalogues_of_plugins_alone(tmp_path: Path) -> None:
    upscalers = [{"name": "lanczos", "title": "Lanczos"}]
    (tmp_path / "a.json").write_text(json.dumps({"schema": 1, "operations": {}, "catalogues": {"upscalers": upscalers}}))
    owned = [{"name": kind, "family": "f", "title": kind, "path": "/x", "kind": kind} for kind in KINDS]
    (tmp_path / "models.json").write_text(json.dumps(owned))
    found = json.loads(Schemas([tmp_path / "a.json"], [], tmp_path / "models.json").describe()[1])["catalogues"]
    assert found["upscalers"] == upscalers
    assert [entry["name"] for entry in found["upscaler_networks"]] == ["upscaler"]
    assert [entry["name"] for entry in found["models"]] == ["checkpoint"]


def test_null_counts_as_not_given_and_defaults_are_filled(schemas: Schemas) -> None:
    params = schemas.check("paint", {"prompt": "x", "steps": None, "sampler": None}).params
    assert params["steps"] == 4
    assert "sampler" not in params
    assert isinstance(params["seed"], int)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema": 2}', '{"schema": 1, "operations": {"a": {}}, "catalogues": {}}'])
def test_a_broken_schema_file_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "operations.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PluginError, match=r"operations\.json"):
        Schemas([path], [], tmp_path / "models.json").check("paint", {})


def test_every_first_party_operation_refuses_nonsense_with_a_field(tmp_path: Path) -> None:
    manifest = first_party()
    schemas = Schemas([manifest.operations_file], manifest.models, tmp_path / "models.json")
    operations = json.loads(schemas.describe()[1])["operations"]
    assert operations
    for name, operation in operations.items():
        for field in operation["params"]["properties"]:
            with pytest.raises(InvalidRequest) as refused:
                schemas.check(name, {**dict.fromkeys(operation["params"].get("required", []), "x"), field: [[["nonsense"]]]})
            assert refused.value.field
            assert refused.value.message.endswith((".", "them."))
    assert issubclass(InvalidRequest, GessoError)


@pytest.mark.parametrize("broken", ["{", '{"schema": 9, "plugins": {}}', '{"schema": 1, "plugins": {"x": {"colour": 1}}}'])
def test_a_broken_list_of_plugins_costs_only_these_plugins(tmp_path: Path, broken: str) -> None:
    (tmp_path / "plugins.json").write_text(broken)
    schemas = Schemas([HERE / "operations.json"], [], tmp_path / "models.json", tmp_path)
    assert schemas.check("paint", {"prompt": "x", "seed": 3}).params["seed"] == 3


@pytest.mark.parametrize("claim", ["paint", "other.blur", "mine.blur"])
def test_a_plugin_adds_only_what_stands_under_its_own_name(tmp_path: Path, claim: str) -> None:
    shelf = Shelf(tmp_path)
    shelf.source("mine").write_text("x = 1")
    record = Record("mine", "file", True, "", "", "mine")
    blur = {"title": "Blur", "summary": "", "plugin": "mine", "params": {"type": "object"}}
    shelf.put(replace(record, sha256=shelf.content_hash(record)), json.loads(document(**{claim: blur})))
    operations = json.loads(Schemas([HERE / "operations.json"], [], tmp_path / "models.json", tmp_path).describe()[1])["operations"]
    assert operations["paint"]["title"] != "Blur"
    assert ("mine.blur" in operations) == (claim == "mine.blur")
    assert "other.blur" not in operations


def test_an_output_is_a_codec_by_any_of_its_names_or_raw(schemas: Schemas, tmp_path: Path) -> None:
    codecs = [{"name": "stranger.avif", "title": "AVIF", "aliases": ["stranger.av1"], "media_type": "image/avif", "ending": "avif"}]
    (tmp_path / "stranger.json").write_text(json.dumps({"schema": 1, "operations": {}, "catalogues": {"codecs": codecs}}))
    assert [schemas.output(asked) for asked in (None, "png", "raw", "avif", "Stranger.AV1")] == [
        "png", "png", "raw", "stranger.avif", "stranger.avif",
    ]  # fmt: skip
    for wrong in ("aviff", 7, {"a": 1}):
        with pytest.raises(InvalidRequest, match="There is no codec") as caught:
            schemas.output(wrong)
        assert caught.value.field == "output"


def test_pictures_are_found_in_every_shape_that_parameters_have(tmp_path: Path) -> None:
    """One, several, and some by name: what a job names has to be there, and stays until it ends."""
    blob = {"type": "object", "properties": {"sha256": {"type": "string"}}}
    shapes = {
        "image": {**blob, "x-ui": {"widget": "image"}},
        "others": {"type": "array", "items": blob, "x-ui": {"widget": "image"}},
        "control": {"type": "object", "additionalProperties": blob, "x-ui": {"widget": "hidden"}},
    }
    entry = {"title": "Blur", "summary": "", "plugin": "p", "params": {"type": "object", "properties": shapes}}
    (tmp_path / "a.json").write_text(document(blur=entry))
    one, two, three = ({"sha256": letter * 64} for letter in "abc")
    checked = Schemas([tmp_path / "a.json"], [], tmp_path / "models.json").check(
        "blur", {"image": one, "others": [two], "control": {"edges": three}}
    )
    assert checked.blobs == ("a" * 64, "b" * 64, "c" * 64)
