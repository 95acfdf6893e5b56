"""PNG files: every kind of picture comes back exactly, in Pillow and by the specification; the recipe is inside; nothing varies."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gesso.media import Recipe, png
from gesso.recipe import infotext, read_recipe, read_texts, texts_of

PARAMS = {"prompt": "mossy cobblestone", "negative": "", "seed": 7, "width": 4, "height": 3, "steps": 20, "sampler": "dpmpp_2m"}
RECIPE = Recipe("generate", PARAMS, "starter", "ab" * 32, "0.1.0", labels={"sampler": "DPM++ 2M", "schedule": "Karras"})


def picture(dtype: Any, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def unfiltered(data: bytes) -> np.ndarray[Any, Any]:
    """A PNG read by the letter of the specification: what Pillow cannot keep (16-bit colours), this keeps."""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    raw = zlib.decompress(data[start + 4 : start + 4 + length])
    stride, step = width * channels * depth // 8, channels * depth // 8
    rows = np.zeros((height + 1, stride + step), np.int64)
    for y in range(height):
        line = raw[y * (stride + 1) : (y + 1) * (stride + 1)]
        assert line[0] == 4
        for x in range(stride):
            a, b, c = rows[y + 1, x], rows[y, x + step], rows[y, x]
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            rows[y + 1, x + step] = (line[1 + x] + nearest) % 256
    samples = rows[1:, step:].astype(np.uint8).tobytes()
    return np.frombuffer(samples, ">u2" if depth == 16 else np.uint8).reshape(height, width, channels).squeeze()


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 2), (5, 7, 3), (5, 7, 4), (1, 1, 3), (64, 1), (1, 64, 3)])
def test_eight_bits_come_back_in_pillow(shape: tuple[int, ...]) -> None:
    pixels = picture(np.uint8, *shape)
    with Image.open(io.BytesIO(png.write(pixels, {}))) as opened:
        opened.verify()
    with Image.open(io.BytesIO(png.write(pixels, {}))) as opened:
        assert opened.mode == {2: "L", 3: {2: "LA", 3: "RGB", 4: "RGBA"}.get(shape[-1], "")}[len(shape)]
        assert np.array_equal(np.asarray(opened), pixels)


def test_pictures_of_several_bands_come_back() -> None:
    pixels = np.cumsum(picture(np.uint8, 200, 31, 3) % 5, axis=0).astype(np.uint8)
    with Image.open(io.BytesIO(png.write(pixels, {}))) as opened:
        assert np.array_equal(np.asarray(opened), pixels)


def test_sixteen_bit_grey_comes_back_in_pillow() -> None:
    pixels = picture(np.uint16, 9, 11)
    with Image.open(io.BytesIO(png.write(pixels, {}))) as opened:
        assert np.array_equal(np.asarray(opened).astype(np.uint16), pixels)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([np.uint8, np.uint16]), st.sampled_from([(), (2,), (3,), (4,)]), st.integers(1, 9), st.integers(1, 9))
def test_every_kind_comes_back_by_the_specification(dtype: Any, channels: tuple[int, ...], height: int, width: int) -> None:
    pixels = picture(dtype, height, width, *channels)
    assert np.array_equal(unfiltered(png.write(pixels, {})), pixels.squeeze())


@pytest.mark.parametrize(
    "pixels", [picture(np.uint8, 2, 2, 5), picture(np.uint8, 0, 2), np.zeros((2, 2), np.float32), picture(np.uint8, 2)]
)
def test_what_no_png_can_hold_is_refused(pixels: Any) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        png.write(pixels, {})


def test_the_recipe_is_inside_and_equal_input_gives_equal_bytes() -> None:
    pixels = picture(np.uint8, 3, 4, 3)
    data = png.write(pixels, texts_of(RECIPE))
    assert data == png.write(pixels, texts_of(RECIPE))
    assert read_recipe(data) == RECIPE
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info["parameters"] == infotext(RECIPE)  # type: ignore[attr-defined]
    assert read_recipe(png.write(pixels, texts_of(None))) is None


def test_words_of_any_language_survive() -> None:
    recipe = Recipe("generate", {**PARAMS, "prompt": "苔むした石, “quoted”: ä\nsecond line"}, "m", "", "0.1.0")
    data = png.write(picture(np.uint8, 3, 4, 3), texts_of(recipe))
    assert read_texts(data)["parameters"].startswith("苔むした石, “quoted”: ä\nsecond line")
    assert read_recipe(data) == recipe
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info["parameters"] == infotext(recipe)  # type: ignore[attr-defined]
