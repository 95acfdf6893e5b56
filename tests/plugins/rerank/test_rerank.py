"""`rerank`: the order that the scorers give, drawn and written down; and one sentence for what cannot be ranked."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gesso.errors import InvalidRequest


def stored(*pictures: Image.Image) -> tuple[list[dict[str, str]], dict[str, bytes]]:
    blobs = {}
    for picture in pictures:
        file = io.BytesIO()
        picture.save(file, "PNG")
        blobs[hashlib.sha256(file.getvalue()).hexdigest()] = file.getvalue()
    return [{"sha256": name} for name in blobs], blobs


@pytest.fixture
def stone(studio: Any) -> Image.Image:
    params = {"prompt": "mossy grey cobblestone", "seed": 5, "width": 96, "height": 64, "tile": "xy", "model": "procedural"}
    return Image.fromarray(studio.make("generate", params).outputs[0].pixels)


def test_pictures_come_in_the_order_of_their_scores(studio: Any, stone: Image.Image) -> None:
    pictures = [stone.filter(ImageFilter.GaussianBlur(radius)) for radius in (3, 0, 1)]
    images, blobs = stored(*pictures)
    made = studio.make("rerank", {"prompt": "", "images": images, "score": {"sharpness": 1, "seam": 0.5}}, blobs)
    (sheet,) = made.outputs
    ranking = sheet.info["ranking"]
    assert [entry["image"] for entry in ranking] == [1, 2, 0]
    for entry in ranking:
        assert entry["score"] == pytest.approx((entry["scores"]["sharpness"] + 0.5 * entry["scores"]["seam"]) / 1.5)
    assert sheet.role == "contact_sheet"
    best = np.asarray(pictures[1].resize((96, 64)), int)
    assert np.abs(sheet.pixels[8 + 32 : 8 + 96, 8 : 8 + 96].astype(int) - best).max() == 0, "the best stands first, at its own size"
    words = sheet.pixels[8 + 96 : 8 + 96 + 3 * 14, 8:118]
    assert (words < 100).any(axis=2).sum() > 100, "its scores are drawn beneath"


def test_one_picture_and_a_large_one_and_a_transparent_one(studio: Any) -> None:
    images, blobs = stored(Image.new("RGB", (640, 8), (9, 9, 9)), Image.new("RGBA", (4, 4), (0, 255, 0, 0)), Image.new("L", (1, 1)))
    (sheet,) = studio.make("rerank", {"prompt": "x", "images": images, "score": {"sharpness": 1}}, blobs).outputs
    assert len(sheet.info["ranking"]) == 3
    assert all(entry["score"] is not None for entry in sheet.info["ranking"])
    (dark,) = studio.make("rerank", {"prompt": "x", "images": images, "background": "#102030"}, blobs).outputs
    assert tuple(dark.pixels[0, 0]) == (0x10, 0x20, 0x30)
    assert dark.pixels.max() > 200, "words are light on a dark page"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"images": []}, "images"),
        ({"images": [{"sha256": "0" * 64}] * 65}, "images"),
        ({"score": {"none": 1}}, "score"),
        ({"background": "red"}, "background"),
        ({}, "prompt"),
        ({"score": {"sharpness": 0}}, "score"),
        ({"prompt": "x" * 10_001}, "prompt"),
    ],
)
def test_bad_values_name_their_field(studio: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        studio.resolve("rerank", {"prompt": "", "images": [{"sha256": "0" * 64}], **change})
    assert caught.value.field == field


def test_a_file_that_is_no_picture_is_named_by_its_number(studio: Any) -> None:
    images, blobs = stored(Image.new("RGB", (8, 8)))
    broken = hashlib.sha256(b"no picture").hexdigest()
    with pytest.raises(InvalidRequest) as caught:
        studio.make("rerank", {"prompt": "x", "images": [*images, {"sha256": broken}]}, {**blobs, broken: b"no picture"})
    assert caught.value.field == "images.1"
