"""Controls and regions of an edit: cut to what the model is shown, heard there, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.plugins.edit.test_edit import mask_file, samples

from gesso.errors import InvalidRequest
from gesso.manifest import ModelEntry
from gesso.media.documents import Document, write
from gesso.media.profile import SRGB
from gesso.plugin.fields import InputBlob
from gesso_plugins.edit.boxes import Box
from gesso_plugins.edit.steering import Frame, Steering, files

Pipelines = Callable[[str], Path]
IMAGE = write(Document(samples("uint8"), SRGB, "png"))


@pytest.fixture
def tiny(studio: Any, pipelines: Pipelines) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


@pytest.fixture
def steerable(tiny: Any, pipelines: Pipelines, tmp_path: Path) -> Any:
    from tests.plugins.diffusion.test_controlnet import build_controlnet

    entry = ModelEntry("edges", "controlnet", "edges", build_controlnet(pipelines("epsilon"), tmp_path), ("controlnet",), kind="controlnet")
    tiny.registry.models = (*tiny.registry.models, entry)
    return tiny


def grey(value: int, size: tuple[int, int] = (96, 80)) -> bytes:
    return mask_file(np.full(size[::-1], value, np.uint8))


def made(studio: Any, operation: str = "edit", **asked: Any) -> Any:
    """Pixels, with pictures given as bytes."""
    pictures = [data for field in ("control", "region") for data in asked.get(field, {}).values()]
    blobs = {hashlib.sha256(data).hexdigest(): data for data in (IMAGE, mask_file(), *pictures)}
    named = {
        field: {key: {"sha256": hashlib.sha256(data).hexdigest()} for key, data in asked.pop(field).items()}
        for field in ("control", "region")
        if field in asked
    }
    first = {"image": {"sha256": hashlib.sha256(IMAGE).hexdigest()}}
    if operation == "edit":
        first["mask"] = {"sha256": hashlib.sha256(mask_file()).hexdigest()}
    params = {"prompt": "moss", "model": "tiny", "steps": 2, "seed": 7, "guidance": 1.0, "count": 1, **first, **named, **asked}
    return studio.make(operation, params, blobs).outputs[0].pixels


def test_a_picture_is_cut_where_the_image_lies_in_its_grown_canvas() -> None:
    frame = Frame((4, 3), (6, 3), 2, 0, Box(1, 1, 3, 2))
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert frame.cut(Document(numbers, SRGB, "png"), "control").pixels[..., 0].tolist() == [[0, 4, 5], [0, 8, 9]]
    grown = np.arange(18, dtype=np.uint8).reshape(3, 6, 1)
    assert frame.cut(Document(grown, SRGB, "png"), "control").pixels[..., 0].tolist() == [[7, 8, 9], [13, 14, 15]]
    with pytest.raises(InvalidRequest, match="3 x 3 pixels") as fault:
        frame.cut(Document(numbers[:, :3], SRGB, "png"), "region")
    assert fault.value.field == "region"


def test_a_reference_stays_whole_and_has_any_size() -> None:
    blob = InputBlob(sha256="a" * 64)
    params = SimpleNamespace(control={"mood": blob, "edges": blob}, region={})

    class Context:
        def model(self, name: str) -> Any:
            return SimpleNamespace(capabilities={"reference"} if name == "mood" else {"controlnet"})

        def blob(self, sha256: str) -> str:
            return sha256

        def keep(self, picture: Any) -> Any:
            return picture.shape

    context: Any = Context()
    assert files(context, params) == ({"edges": "a" * 64}, {})
    seen = Steering({"edges": np.zeros((4, 4, 3), np.float32)}, {})
    assert seen.shown(context, params, (2, 6))["control"] == {"edges": (6, 2, 3), "mood": {"sha256": "a" * 64}}


@pytest.mark.parametrize("operation", ["edit", "vary"])
def test_a_control_matters_as_far_as_it_is_strong(steerable: Any, operation: str) -> None:
    """The same picture whatever the control shows where it has no strength; another where it has."""
    plain = made(steerable, operation)
    silent = [made(steerable, operation, control={"edges": grey(value)}, control_strength={"edges": 0.0}) for value in (0, 200)]
    heard = [made(steerable, operation, control={"edges": grey(value)}) for value in (0, 200)]
    late = made(steerable, operation, control={"edges": grey(200)}, control_start={"edges": 0.5})
    assert np.array_equal(silent[0], silent[1])
    assert np.abs(silent[0].astype(int) - plain).max() <= 1
    assert not np.array_equal(heard[0], heard[1])
    assert not np.array_equal(late, heard[1])


@pytest.mark.parametrize("operation", ["edit", "vary"])
def test_words_hold_in_their_region(tiny: Any, operation: str) -> None:
    plain, other = made(tiny, operation), made(tiny, operation, prompt="a red fox")
    assert np.array_equal(made(tiny, operation, region={"a red fox": grey(0)}), plain)
    everywhere = made(tiny, operation, region={"a red fox": grey(255)})
    assert np.abs(everywhere.astype(int) - other).max() <= 1
    half = made(tiny, operation, region={"a red fox": grey(128)})
    assert not np.array_equal(half, plain)
    assert not np.array_equal(half, other)


def test_regions_of_generate_are_words_in_their_place(tiny: Any) -> None:
    left = np.zeros((32, 64), np.uint8)
    left[:, :32] = 255
    data = mask_file(left)
    name = hashlib.sha256(data).hexdigest()
    asked = {"prompt": "moss", "model": "tiny", "steps": 1, "seed": 7, "guidance": 4.0, "width": 64, "height": 32, "sampler": "euler"}
    plain, fox = (tiny.make("generate", {**asked, "prompt": words}).outputs[0].pixels for words in ("moss", "a red fox"))
    both = tiny.make("generate", {**asked, "region": {"a red fox": {"sha256": name}}}, {name: data}).outputs[0].pixels
    assert np.abs(both[:, :16].astype(int) - fox[:, :16]).mean() < np.abs(both[:, :16].astype(int) - plain[:, :16]).mean()
    assert np.abs(both[:, 48:].astype(int) - plain[:, 48:]).mean() < np.abs(both[:, 48:].astype(int) - fox[:, 48:]).mean()


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"region": {" ": grey(255)}}, "region", "no prompt"),
        ({"region": {"fox": grey(255, (9, 9))}}, "region", "9 x 9"),
        ({"control": {"nobody": grey(255)}}, "control", "nobody"),
        ({"control_strength": {"edges": 1.0}}, "control_strength", "no control 'edges'"),
    ],
)
def test_mistakes_are_sentences(steerable: Any, asked: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as fault:
        made(steerable, **asked)
    assert fault.value.field == field
