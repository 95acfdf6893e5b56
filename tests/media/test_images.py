"""Pictures in and out: exact rounding, safe decoding, sizes refused before a pixel is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gesso.errors import InvalidRequest, ModelError
from gesso.media import images


def file(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_every_byte_survives_the_way_through_floats() -> None:
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        values = np.arange(2**bits, dtype=kind)
        assert np.array_equal(images.quantised(values.astype(np.float32) / np.float32(2**bits - 1), bits), values)


def test_rounding_is_to_the_nearest_and_clipped() -> None:
    values = np.array([-0.5, 0.0, 0.499 / 255, 0.501 / 255, 254.499 / 255, 254.501 / 255, 1.0, 7.0, np.inf], np.float32)
    assert images.quantised(values, 8).tolist() == [0, 0, 0, 1, 254, 255, 255, 255, 255]
    with pytest.raises(ModelError, match="NaN"):
        images.quantised(np.array([0.0, np.nan], np.float32), 8)
    with pytest.raises(ValueError, match="12"):
        images.quantised(values, 12)


def test_a_tensor_becomes_rows_of_pixels() -> None:
    image = torch.zeros(1, 3, 2, 5)
    image[0, 1, 1, 4] = 1.0
    pixels = images.to_uint8(image)
    assert pixels.shape == (2, 5, 3)
    assert pixels.flags.c_contiguous
    assert pixels[1, 4].tolist() == [0, 255, 0]
    assert pixels.sum() == 255


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_lossless_files_decode_exactly(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    data = file(Image.fromarray(pixels), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(images.quantised(images.decode(data), 8), pixels)


def test_jpeg_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = file(Image.new("RGB", (8, 4), "red"), "JPEG", exif=exif)
    assert images.decode(data).shape == (8, 4, 3)


def test_transparency_lies_over_white_and_deep_grey_keeps_its_range() -> None:
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert np.array_equal(images.decode(file(clear, "PNG")), np.ones((2, 2, 3), np.float32))
    deep = Image.fromarray(np.full((2, 2), 32768, np.uint16))
    assert images.decode(file(deep, "PNG")) == pytest.approx(32768 / 65535)


def test_a_picture_is_scaled_to_cover_and_cut() -> None:
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 255
    planes = images.to_planes(file(Image.fromarray(pixels), "PNG"), 4, 4)
    assert planes.shape == (1, 3, 4, 4)
    assert planes.dtype == torch.float32
    assert torch.equal(planes, torch.ones(1, 3, 4, 4))
    exact = images.to_planes(file(Image.fromarray(pixels), "PNG"), 12, 4)
    assert np.array_equal(images.to_uint8(exact), pixels)


def bomb(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a picture"),
        (b"GIF89a" + bytes(20), "not a picture"),
        (file(Image.new("RGB", (2, 2)), "GIF"), "not a picture"),
        (file(Image.new("RGB", (2, 2)), "BMP"), "not a picture"),
        (file(Image.new("RGB", (64, 64)), "PNG")[:60], "damaged"),
        (bomb(8, 8), "damaged"),
        (bomb(20_000, 10), "20000 x 10 pixels"),
        (bomb(8_000, 8_000), "8000 x 8000 pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "pixels"),
    ],
)
def test_bad_pictures_get_one_sentence_and_a_field(data: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        images.decode(data, "image")
    assert caught.value.field == "image"
    assert said in caught.value.message


def test_a_small_file_of_144_million_pixels_is_refused_before_it_is_decoded() -> None:
    data = file(Image.new("1", (12_000, 12_000)), "PNG", optimize=True)
    assert len(data) < 40_000
    for part in (data, data[: len(data) // 2]):  # half of it would be `damaged`, had anybody begun to decode
        with pytest.raises(InvalidRequest, match="pixels"):
            images.decode(part)
