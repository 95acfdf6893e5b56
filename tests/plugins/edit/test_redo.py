"""`vary` and `instruct` in the real engine: near and far variations, the picture's own size, depth and transparency, no model to obey."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gesso.errors import InvalidRequest
from gesso.media.documents import Document, write
from gesso.media.profile import SRGB
from gesso.media.working import resized
from gesso.model.card import Defaults, Limits, ModelCard
from gesso_plugins.edit.whole import brought_back, shown

WIDTH, HEIGHT = 50, 38  # neither is a size that the model makes


def samples(dtype: str = "uint8", channels: int = 3) -> npt.NDArray[Any]:
    y, x = np.mgrid[:HEIGHT, :WIDTH] / WIDTH
    values = np.stack([0.2 + 0.6 * x, 0.7 - 0.5 * y, 0.4 + 0.2 * np.sin(9 * x), np.round(x)], 2)[..., :channels]
    return (values * np.iinfo(dtype).max).astype(dtype) if dtype.startswith("u") else values.astype(dtype)


@pytest.fixture
def tiny(studio: Any, pipelines: Callable[[str], Path]) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


def varied(studio: Any, document: Document, **params: Any) -> Any:
    data = write(document)
    name = hashlib.sha256(data).hexdigest()
    asked = {"model": "tiny", "steps": 4, "seed": 7, "count": 1, "image": {"sha256": name}, **params}
    return studio.make("vary", asked, {name: data})


def test_variations_are_as_far_as_the_strength_and_each_has_its_seed(tiny: Any) -> None:
    document = Document(samples(), SRGB, "png")
    kept, near, far = (varied(tiny, document, strength=strength).outputs[0].pixels.astype(int) for strength in (0.01, 0.5, 1.0))
    assert 0 < np.abs(near - kept).mean() < np.abs(far - kept).mean()
    several = varied(tiny, document, count=3).outputs
    assert [output.seed for output in several] == [7, 8, 9]
    assert len({output.pixels.tobytes() for output in several}) == 3
    again = varied(tiny, document, seed=8).outputs[0]
    assert again.pixels.tobytes() == several[1].pixels.tobytes()
    assert several[1].params["count"] == 1


@pytest.mark.parametrize(
    ("kind", "dtype", "channels"), [("png", "uint8", 1), ("png", "uint16", 4), ("tiff", "float32", 3), ("exr", "float16", 4)]
)
def test_the_picture_s_size_depth_and_transparency_stay(tiny: Any, kind: str, dtype: str, channels: int) -> None:
    pixels = samples(dtype, channels)
    (output,) = varied(tiny, Document(pixels, SRGB, kind)).outputs
    assert (output.pixels.dtype, output.pixels.shape, output.kind) == (dtype, (HEIGHT, WIDTH, channels), kind)
    if channels == 4:
        assert output.pixels[..., 3].tobytes() == pixels[..., 3].tobytes()
    assert not np.array_equal(output.pixels, pixels)


def card(largest: int) -> ModelCard:
    return ModelCard("m", "f", "d", "M", None, frozenset(), Defaults(width=32, height=32), Limits(16, largest, 8))


def test_it_comes_back_as_it_went(  # the model's part is left out
) -> None:
    pixels = samples("uint16", 4)
    pixels[..., 3] = 65535
    whole = shown(write(Document(pixels, SRGB, "png")), card(512))
    assert whole.seen.shape == (40, 48, 3)
    back = brought_back(whole, (whole.seen * 65535 + 0.5).astype(np.uint16))
    assert np.abs(back.astype(float) - pixels)[4:-4, 4:-4].max() < 0.01 * 65535


def test_a_picture_that_is_too_large_comes_back_as_large_as_the_model_can(tiny: Any) -> None:
    whole = shown(write(Document(samples(), SRGB, "png")), card(32))
    assert whole.seen.shape == (24, 32, 3)
    assert brought_back(whole, np.zeros((24, 32, 3), np.uint8)).shape == (24, 32, 3)


@pytest.mark.parametrize("size", [(56, 40), (40, 32)])
def test_what_wraps_is_scaled_across_its_border(size: tuple[int, int]) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wave = (0.5 + 0.3 * np.sin(2 * np.pi * (3 * x / WIDTH + 2 * y / HEIGHT)))[..., None].astype(np.float32)

    def off(tile: str) -> float:
        down, across = np.mgrid[: size[1], : size[0]]
        wanted = 0.5 + 0.3 * np.sin(
            2 * np.pi * (3 * ((across + 0.5) / size[0] - 0.5 / WIDTH) + 2 * ((down + 0.5) / size[1] - 0.5 / HEIGHT))
        )
        return float(np.abs(resized(wave, size, tile)[..., 0] - wanted).max())

    assert off("xy") < 0.02
    assert off("none") > 2 * off("xy")


def test_what_wraps_still_does(tiny: Any) -> None:
    rolled = np.roll(samples(), 9, 1)
    made = varied(tiny, Document(rolled, SRGB, "png"), tile="xy", strength=0.25).outputs[0]
    assert set(made.info["measured"]["seam"]) == {"x", "y"}


def test_without_a_model_that_obeys_it_says_so(studio: Any) -> None:
    with pytest.raises(InvalidRequest, match="no model that can do 'instruct'") as caught:
        studio.resolve("instruct", {"image": {"sha256": "0" * 64}, "prompt": "make it snowy", "seed": 1})
    assert caught.value.field == "model"
    assert "`gesso models add`" in str(caught.value.hint)
    with pytest.raises(InvalidRequest, match="cannot do 'instruct'") as caught:
        studio.resolve("instruct", {"image": {"sha256": "0" * 64}, "prompt": "make it snowy", "seed": 1, "model": "procedural"})
    assert "`gesso models add`" in str(caught.value.hint)
    with pytest.raises(InvalidRequest, match="cannot do 'encode_image'"):
        studio.resolve("vary", {"image": {"sha256": "0" * 64}, "model": "procedural", "seed": 1})
