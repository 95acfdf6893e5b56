"""`texture`: six pictures a material, each what its name says, and the same again for the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesso.errors import InvalidRequest

ROLES = ["base_color", "height", "normal", "roughness", "metallic", "ambient_occlusion"]
REQUEST = {"prompt": "mossy grey cobblestone", "seed": 5, "width": 64, "height": 48}


def test_a_material_is_six_pictures(studio: Any) -> None:
    outputs = studio.make("texture", REQUEST).outputs
    assert [output.role for output in outputs] == ROLES
    assert [(output.pixels.dtype.name, output.pixels.ndim) for output in outputs] == [
        ("uint8", 3),
        ("uint16", 2),
        ("uint8", 3),
        ("uint8", 2),
        ("uint8", 2),
        ("uint8", 2),
    ]
    assert all(output.pixels.shape[:2] == (48, 64) for output in outputs)
    height = outputs[1].pixels
    assert len(np.unique(height)) > 256
    normal = outputs[2].pixels.astype(float) / 127.5 - 1
    assert np.abs(np.linalg.norm(normal, axis=2) - 1).max() < 0.02
    assert normal[..., 2].min() > 0


def test_several_materials_have_their_own_seeds_and_can_be_made_alone(studio: Any) -> None:
    outputs = studio.make("texture", {**REQUEST, "count": 2}).outputs
    assert [(output.index, output.seed) for output in outputs] == [(0, 5)] * 6 + [(1, 6)] * 6
    alone = studio.make("texture", outputs[6].params).outputs
    for one, other in zip(alone, outputs[6:], strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert one.params == other.params
    assert not np.array_equal(outputs[0].pixels, outputs[6].pixels)


def test_defaults_come_from_the_first_model_with_maps(studio: Any) -> None:
    resolved, warnings = studio.resolve("texture", {"prompt": "brick", "seed": 1})
    assert (resolved.model, resolved.width, resolved.height, resolved.tile) == ("procedural", 512, 512, "xy")
    assert warnings == []
    assert studio.resolve("texture", resolved.model_dump())[0] == resolved


def test_a_model_without_maps_is_refused_with_those_that_have_them(studio: Any, pipelines: Callable[[str], Path]) -> None:
    studio.add("tiny", pipelines("epsilon"))
    with pytest.raises(InvalidRequest) as caught:
        studio.resolve("texture", {**REQUEST, "model": "tiny"})
    assert caught.value.field == "model"
    assert "procedural" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"width": 8}, "width"),
        ({"height": 5000}, "height"),
        ({"seed": 2**53 - 1, "count": 2}, "seed"),
        ({"seed": None}, "seed"),
        ({"steps": 3}, "steps"),
    ],
)
def test_a_mistake_names_its_field(studio: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        studio.resolve("texture", {**REQUEST, **change})
    assert caught.value.field == field
