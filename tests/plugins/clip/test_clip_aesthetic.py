"""Aesthetic heads: a linear model on CLIP's vectors, from a file of the owner's; what is wrong with it costs its score."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from gesso.engine import Embed, ModelRef, Warn
from gesso.testing import Studio

MADE = {"prompt": "red brick", "seed": 3, "width": 64, "height": 64, "tile": "xy", "model": "procedural", "count": 3}


@pytest.fixture
def rated(studio: Studio) -> Iterator[Any]:
    """``rated(head)``: three pictures scored with the owner's setting."""
    kept = dict(studio.registry.options)

    def rate(head: object) -> Any:
        studio.registry.options = {**kept, "clip": {} if head is None else {"aesthetic": head}}
        return studio.make("generate", {**MADE, "score": {"aesthetic": 1, "seam": 1}})

    yield rate
    studio.registry.options = kept


def test_it_is_the_linear_model_on_the_vectors(studio: Studio, rated: Any, tmp_path: Path) -> None:
    weight = np.random.default_rng(1).normal(size=(1, 128)).astype(np.float32) * 4
    save_file({"weight": weight, "bias": np.array([5.0], np.float32)}, tmp_path / "head.safetensors")
    made = rated(str(tmp_path / "head.safetensors"))
    card = studio.catalogue.card("clip")

    def ask() -> Any:
        return (yield Embed(ModelRef(card.name, card.digest), tuple(output.pixels for output in made.outputs)))

    seen, _ = studio.run(ask())
    expected = np.clip((seen.numpy() @ weight[0] + 5) / 10, 0, 1)
    assert [output.info["scores"]["aesthetic"] for output in made.outputs] == pytest.approx(expected.tolist(), abs=1e-5)
    assert len(set(expected.tolist())) == 3
    assert all(math.isfinite(value) and 0 < value < 1 for value in expected.tolist())


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (None, "No aesthetic head is set"),
        ({"weight": np.ones((1, 7), np.float32), "bias": np.ones(1, np.float32)}, "vectors of 7 numbers, and the model 'clip' gives 128"),
        ({"weight": np.ones((1, 128), np.float32)}, "it has no tensor 'bias'"),
        (b"no weights", "cannot be read"),
    ],
)
def test_what_is_wrong_costs_its_score(rated: Any, tmp_path: Path, tensors: Any, said: str) -> None:
    path = tmp_path / "head.safetensors"
    if isinstance(tensors, bytes):
        path.write_bytes(tensors)
    elif tensors is not None:
        save_file(tensors, path)
    made = rated(None if tensors is None else str(path))
    assert set(made.outputs[0].info["scores"]) == {"seam"}
    (warned,) = [event.message for event in made.events if isinstance(event, Warn)]
    assert warned.startswith("The scorer 'aesthetic' failed, and its score is missing: ")
    assert said in warned
