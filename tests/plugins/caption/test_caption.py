"""`caption`: the words that fit come first, from the vocabulary that is given or the one that ships."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from gesso.errors import InvalidRequest
from gesso.testing import Studio

WORDS = ["red brick", "green moss", "white marble", "blue fabric", "brown wood"]


def stored(studio: Studio, prompt: str) -> tuple[dict[str, str], dict[str, bytes]]:
    params = {"prompt": prompt, "seed": 8, "width": 160, "height": 96, "tile": "xy", "model": "procedural"}
    file = io.BytesIO()
    Image.fromarray(studio.make("generate", params).outputs[0].pixels).save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    return {"sha256": name}, {name: file.getvalue()}


@pytest.mark.parametrize("prompt", WORDS)
def test_the_words_that_fit_come_first(studio: Studio, prompt: str) -> None:
    image, blobs = stored(studio, prompt)
    (page,) = studio.make("caption", {"image": image, "vocabulary": [*WORDS, " ".join(prompt), f" {prompt} "], "limit": 3}, blobs).outputs
    captions = page.info["measured"]["captions"]
    assert len(captions) == 3
    assert captions[0]["words"] == prompt
    assert [each["score"] for each in captions] == sorted((each["score"] for each in captions), reverse=True)
    assert page.role == "caption"
    assert (page.pixels[8:104, 8:168].std(axis=(0, 1)) > 0).all(), "the picture stands on the left"
    assert (page.pixels[8:56, 176:] < 100).any(), "its words to the right"


def test_without_a_vocabulary_it_takes_colours_and_materials(studio: Studio) -> None:
    image, blobs = stored(studio, "red brick")
    (page,) = studio.make("caption", {"image": image}, blobs).outputs
    captions = page.info["measured"]["captions"]
    assert len(captions) == 10
    assert any("red" in each["words"] for each in captions[:3])
    assert page.model == "clip"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"vocabulary": [""]}, "vocabulary.0"),
        ({"vocabulary": ["x"] * 10_001}, "vocabulary"),
        ({"model": "procedural"}, "model"),
        ({"model": "none"}, "model"),
    ],
)
def test_bad_values_name_their_field(studio: Studio, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        studio.resolve("caption", {"image": {"sha256": "0" * 64}, **change})
    assert caught.value.field == field


def test_without_a_model_that_compares_it_says_so(studio: Studio) -> None:
    studio.registry.models = tuple(model for model in studio.registry.models if model.name != "clip")
    with pytest.raises(InvalidRequest, match="no model that can do 'embed'"):
        studio.resolve("caption", {"image": {"sha256": "0" * 64}})
