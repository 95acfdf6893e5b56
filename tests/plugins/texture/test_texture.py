"""`texture`: pictures of a material, each what its name says, from words or from a picture, and the same again for the same parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gesso.errors import InvalidRequest
from gesso.media import documents, exr, relief
from gesso.media.colour import Srgb
from gesso.media.profile import SRGB
from gesso.media.seam import seams

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


def test_a_model_that_makes_no_pictures_is_refused(studio: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        studio.resolve("texture", {**REQUEST, "model": "clip"})
    assert caught.value.field == "model"


@pytest.mark.slow
def test_of_a_model_that_makes_pictures_alone_the_maps_are_found(studio: Any, pipelines: Callable[[str], Path]) -> None:
    studio.add("tiny", pipelines("epsilon"))
    outputs = studio.make("texture", {"prompt": "brick", "seed": 3, "model": "tiny", "width": 64, "height": 64}).outputs
    assert [output.role for output in outputs] == ROLES
    assert {output.model for output in outputs} == {"tiny"}
    assert outputs[0].pixels.std() > 0


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


def photo(size: tuple[int, int] = (96, 80), dtype: str = "uint8") -> npt.NDArray[Any]:
    """Stones in a light that falls off to the right and downwards: nothing about it wraps."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[: size[1], : size[0]]
    stones = 0.45 + 0.2 * np.sin(x / 3.7 + np.sin(y / 5)) * np.cos(y / 4.3) + rng.normal(0, 0.02, (size[1], size[0]))
    values = (stones * (1.2 - 0.6 * x / size[0]) * (1.2 - 0.5 * y / size[1]))[..., None] * np.array([1.0, 0.8, 0.6])
    return (values.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def of_picture(studio: Any, pixels: npt.NDArray[Any], **params: Any) -> Any:
    data = documents.write(documents.Document(pixels, SRGB, "png"))
    name = hashlib.sha256(data).hexdigest()
    return studio.make("texture", {"image": {"sha256": name}, "seed": 1, **params}, {name: data}).outputs


def test_a_picture_is_made_to_wrap_and_its_maps_are_found(studio: Any) -> None:
    outputs = of_picture(studio, photo())
    assert [output.role for output in outputs] == ROLES
    measured = outputs[0].info["measured"]
    assert measured["repair"] == "blend"
    for axis in ("x", "y"):
        assert measured["seam_before"][axis]["ratio"] > 1.3
        assert measured["seam"][axis]["ratio"] < 1.15
        assert abs(measured["seam"][axis]["ratio"] - seams(outputs[0].pixels, "xy")[axis]["ratio"]) < 0.05
    again = of_picture(studio, photo())
    assert [one.pixels.tobytes() for one in outputs] == [other.pixels.tobytes() for other in again]


def test_every_map_wraps_as_the_colour_does(studio: Any) -> None:
    """A tile rolled by whole multiples of the network's coarsest cell has the maps rolled, to the byte or nearly: it has no border."""
    tile = studio.make("generate", {"prompt": "brick", "model": "procedural", "seed": 2, "width": 96, "height": 64}).outputs[0].pixels
    straight, rolled = of_picture(studio, tile), of_picture(studio, np.roll(tile, (32, 48), (0, 1)))
    assert straight[0].info["measured"]["repair"] == "none"
    assert straight[0].pixels.tobytes() == tile.tobytes()
    for one, other in zip(straight, rolled, strict=True):
        tolerance = 1 if one.pixels.dtype == np.uint8 else 64
        assert np.abs(np.roll(one.pixels, (32, 48), (0, 1)).astype(int) - other.pixels.astype(int)).max() <= tolerance, one.role


@pytest.mark.parametrize("request_", [{"prompt": "cobblestone", "width": 64, "height": 64}, {}])
def test_the_normals_are_the_slopes_of_the_height(studio: Any, request_: dict[str, Any]) -> None:
    outputs = studio.make("texture", {**request_, "seed": 4}).outputs if request_ else of_picture(studio, photo())
    height = outputs[1].pixels.astype(np.float32) / np.float32(65535) * np.float32(outputs[1].info["measured"]["relief"])
    assert np.abs(relief.normals(height) * 255 - outputs[2].pixels).max() < 1.6
    assert np.abs(relief.occlusion(height) * 255 - outputs[5].pixels).max() < 1.6


def test_a_picture_that_shall_not_wrap_is_left_as_it_is(studio: Any) -> None:
    outputs = of_picture(studio, photo((90, 51)), tile="none")
    assert outputs[0].pixels.tobytes() == photo((90, 51)).tobytes()
    assert {output.pixels.shape[:2] for output in outputs} == {(51, 90)}
    one_way = of_picture(studio, photo(), tile="x", maps=False)
    assert [output.role for output in one_way] == ["base_color"]
    assert set(one_way[0].info["measured"]["seam"]) == {"x"}


@pytest.mark.slow
def test_a_model_paints_over_the_seam_and_nowhere_else(studio: Any, pipelines: Callable[[str], Path]) -> None:
    studio.add("tiny", pipelines("epsilon"))
    picture = photo((128, 128))
    blend = of_picture(studio, picture, maps=False, repair="blend")[0]
    paint = of_picture(studio, picture, maps=False, repair="paint", model="tiny")[0]
    assert paint.info["measured"]["repair"] == "paint"
    changed = (blend.pixels.astype(int) != paint.pixels.astype(int)).any(2)
    assert changed[:4].mean() > 0.9
    assert not changed[52:76, 52:76].any()


def test_formats_and_packing(studio: Any) -> None:
    gl, dx = (studio.make("texture", {**REQUEST, "normals": way, "packing": "both"}).outputs for way in ("gl", "dx"))
    assert [output.role for output in gl] == [*ROLES, "orm"]
    assert np.array_equal(gl[2].pixels[..., [0, 2]], dx[2].pixels[..., [0, 2]])
    assert np.abs(gl[2].pixels[..., 1].astype(int) + dx[2].pixels[..., 1] - 255).max() <= 1
    assert np.array_equal(gl[6].pixels, np.stack([gl[5].pixels, gl[3].pixels, gl[4].pixels], 2))
    packed = studio.make("texture", {**REQUEST, "packing": "orm", "floats": True}).outputs
    assert [output.role for output in packed] == ["base_color", "height", "normal", "orm"]
    assert {output.kind for output in packed} == {"exr"}
    linear = exr.read(exr.write(packed[0].pixels), "image")
    assert np.abs(Srgb().from_linear(linear) * 255 - gl[0].pixels).max() < 0.6
    assert np.abs(packed[1].pixels[..., 0] * 65535 - gl[1].pixels).max() < 0.6


def test_a_picture_keeps_its_sixteen_bits(studio: Any) -> None:
    output = of_picture(studio, photo(dtype="uint16"), tile="none", maps=False)[0]
    assert output.pixels.tobytes() == photo(dtype="uint16").tobytes()


def test_an_image_is_brought_to_the_size_asked_for(studio: Any) -> None:
    outputs = of_picture(studio, photo(), width=64)
    assert {output.pixels.shape[:2] for output in outputs} == {(53, 64)}


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"count": 2}, "count", "same maps"),
        ({"model": "procedural"}, "model", "paints over its seam"),
        ({"repair": "paint", "model": "procedural"}, "model", "encode_image"),
        ({"repair": "blend", "tile": "none"}, "tile", "wrap around"),
    ],
)
def test_what_does_not_go_with_an_image_is_said(studio: Any, change: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        studio.resolve("texture", {"image": {"sha256": "0" * 64}, "seed": 1, **change})
    assert caught.value.field == field


def test_bad_pictures_are_refused_in_a_sentence(studio: Any) -> None:
    with pytest.raises(InvalidRequest, match="16 a side"):
        of_picture(studio, photo((15, 40)))
    with pytest.raises(InvalidRequest, match="words or a picture"):
        studio.resolve("texture", {"seed": 1})
