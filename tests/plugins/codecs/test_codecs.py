"""The files that ship: what goes in comes out of a reader that is not ours, with the words that say how it was made."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.profile import LINEAR, SRGB
from gesso.plugin import CodecContext
from gesso.recipe import Recipe, read_params, read_recipe, texts_of
from gesso_plugins.codecs.plugin import to_exr, to_png, to_tiff, to_webp

PARAMS = {"prompt": "苔 “moss”", "seed": 7, "width": 5, "height": 4}
RECIPE = Recipe("generate", PARAMS, "starter", "ab", "0.1.0", environment={"device": "cpu"})


def picture(channels: int, dtype: type = np.uint8) -> Any:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (4, 5, channels), endpoint=True).astype(dtype)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_webp_keeps_every_sample_also_under_full_transparency(channels: int) -> None:
    pixels = picture(channels)
    if channels in (2, 4):
        pixels[:2, :, -1] = 0
    data = to_webp.function(CodecContext(pixels, SRGB, texts=texts_of(RECIPE)))
    assert data == to_webp.function(CodecContext(pixels, SRGB, texts=texts_of(RECIPE)))
    with Image.open(io.BytesIO(data)) as read:
        assert read.format == "WEBP"
        found = np.asarray(read)
    wanted = pixels if channels > 2 else np.concatenate([np.repeat(pixels[..., :1], 3, 2), pixels[..., 1:]], 2)
    assert np.array_equal(found, wanted)
    assert read_recipe(data) == RECIPE


def test_a_webp_of_a_peer_is_read_as_its_png_would_be() -> None:
    """AUTOMATIC1111 writes the infotext as UserComment; the bytes are made by Pillow here."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a castle\nSteps: 20, Sampler: Euler, Seed: 5".encode("utf-16-be")
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "WEBP", exif=exif)
    assert read_recipe(file.getvalue()) is None
    params = read_params(file.getvalue())
    assert (params["prompt"], params["seed"], params["steps"]) == ("a castle", 5, 20)


def test_damaged_notes_are_no_words() -> None:
    data = to_webp.function(CodecContext(picture(3), SRGB, texts=texts_of(RECIPE)))
    at = data.index(b"MM\0\x2a")
    for cut in range(at, len(data), 7):
        assert read_recipe(data[:cut]) is None
    for flipped in range(at, at + 40):
        damaged = bytearray(data)
        damaged[flipped] ^= 0xFF
        with contextlib.suppress(InvalidRequest):  # anything else would reach the user as a traceback
            read_recipe(bytes(damaged))


def test_the_owner_may_trade_quality_for_size() -> None:
    pixels = np.kron(picture(3), np.ones((16, 16, 1), np.uint8))
    sizes = [len(to_webp.function(CodecContext(pixels, SRGB, options={"webp_quality": quality}))) for quality in (90, 10)]
    assert sizes[0] > sizes[1]
    with pytest.raises(ValueError, match="0 to 100, not 'best'"):
        to_webp.function(CodecContext(pixels, SRGB, options={"webp_quality": "best"}))


def test_each_file_has_its_colours_multiplied_with_the_alpha_or_not_as_its_format_has_it() -> None:
    floats = np.array([[[0.2, 0.1, 0.3, 0.5]]], np.float32)
    straight, associated = CodecContext(floats, LINEAR), CodecContext(floats, LINEAR, associated=True)
    np.testing.assert_allclose(documents.read(to_exr.function(straight)).pixels[0, 0], [0.1, 0.05, 0.15, 0.5], rtol=1e-6)
    assert np.array_equal(documents.read(to_exr.function(associated)).pixels, floats)
    kept = documents.read(to_tiff.function(associated))
    assert np.array_equal(kept.pixels, floats)
    assert kept.associated
    assert not documents.read(to_tiff.function(straight)).associated
    whole = np.array([[[50, 25, 75, 128]]], np.uint8)
    for codec in (to_png, to_webp):
        data = codec.function(CodecContext(whole, SRGB, associated=True))
        with Image.open(io.BytesIO(data)) as read:
            assert np.asarray(read)[0, 0].tolist() == [100, 50, 149, 128]


def test_exr_holds_light_for_colours_and_amounts_for_the_rest() -> None:
    pixels = np.full((2, 2, 4), 128, np.uint8)
    colour = documents.read(to_exr.function(CodecContext(pixels, SRGB))).pixels
    assert colour.dtype == np.float16
    np.testing.assert_allclose(colour[0, 0], [0.1083, 0.1083, 0.1083, 0.502], atol=3e-4)  # multiplied with the alpha
    normal = documents.read(to_exr.function(CodecContext(pixels[..., :3], SRGB, "normal"))).pixels
    np.testing.assert_allclose(normal[0, 0], 0.502, atol=3e-4)
    height = documents.read(to_exr.function(CodecContext(np.full((2, 2, 1), 12345, np.uint16), SRGB, "height"))).pixels
    assert height.dtype == np.float32
    np.testing.assert_allclose(height[0, 0], 12345 / 65535, rtol=1e-6)
    floats = np.random.default_rng(2).normal(size=(3, 4, 3)).astype(np.float32)
    assert np.array_equal(documents.read(to_exr.function(CodecContext(floats, LINEAR))).pixels, floats)


@pytest.mark.parametrize(("spec", "dtype"), [(to_png, np.uint8), (to_png, np.uint16), (to_tiff, np.uint16), (to_tiff, np.float32)])
def test_files_without_loss_come_back_as_they_were(spec: Any, dtype: Any) -> None:
    pixels = picture(3, np.uint16).astype(dtype)
    profile = LINEAR if pixels.dtype.kind == "f" else SRGB
    assert np.array_equal(documents.read(spec.function(CodecContext(pixels, profile))).pixels, pixels)
