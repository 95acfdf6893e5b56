"""The operation `embed`: rows of unit vectors in the order that was asked for, and a row that is no number for what cannot be looked at."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.engine import Embed, ModelRef
from gesso.errors import InvalidRequest


def png(seed: int, size: int = 32) -> tuple[str, bytes, np.ndarray[Any, Any]]:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return hashlib.sha256(file.getvalue()).hexdigest(), file.getvalue(), pixels


def test_rows_are_the_vectors_of_the_model(studio: Any) -> None:
    shown = [png(seed) for seed in (1, 2)]
    small, content, _ = png(3, 4)
    blobs = {sha256: data for sha256, data, _ in shown} | {small: content, "b" * 64: b"no picture"}
    named = [shown[0][0], small, shown[1][0], "b" * 64]
    made = studio.make("embed", {"images": [{"sha256": sha256} for sha256 in named], "texts": ["red brick"]}, blobs)
    rows = made.outputs[0].pixels[..., 0]
    card = studio.catalogue.card("clip")

    def ask() -> Any:
        return (yield Embed(ModelRef(card.name, card.digest), tuple(pixels for _, _, pixels in shown), ("red brick",)))

    seen, read = studio.run(ask())
    assert rows.dtype == np.float32
    assert np.array_equal(rows[[0, 2]], seen.numpy())
    assert np.array_equal(rows[4:], read.numpy())
    assert np.isnan(rows[[1, 3]]).all()
    assert made.warnings == ["2 of 4 pictures cannot be looked at: their rows are no numbers."]
    assert made.params.model == "clip"


def test_what_cannot_be_seen_alone_is_a_row_that_is_no_number(studio: Any) -> None:
    made = studio.make("embed", {"images": [{"sha256": "b" * 64}]}, {"b" * 64: b"no picture"})
    assert np.isnan(made.outputs[0].pixels).all()
    assert len(studio.make("embed", {"texts": ["a", "b"]}).outputs[0].pixels) == 2


def test_nothing_to_embed_is_a_sentence(studio: Any) -> None:
    with pytest.raises(InvalidRequest, match="nothing to embed"):
        studio.resolve("embed", {})
