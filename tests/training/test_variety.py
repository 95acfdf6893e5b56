"""How much of a source's variety a small model is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from gesso.errors import InvalidRequest
from gesso.plugin.datasets import CaptionedSource
from gesso.training.pool import Pool
from gesso.training.renders import RenderStore, Shard
from gesso.training.variety import laid_out
from gesso_plugins.procedural.dataset import ProceduralSource


class Fixed:
    """A source that has nothing to hold down."""

    name = "fixed"

    def sample(self, rng: np.random.Generator, size: int, materials: object = None) -> Any:
        raise NotImplementedError


def test_a_source_shows_so_many_layouts() -> None:
    assert cast("ProceduralSource", laid_out(ProceduralSource(), 3)).layouts == 3


def test_none_leaves_a_source_as_it_is() -> None:
    source = cast("CaptionedSource", Fixed())
    assert laid_out(source, 0) is source


def test_a_source_without_layouts_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'fixed' have no layouts") as refused:
        laid_out(cast("CaptionedSource", Fixed()), 8)
    assert refused.value.hint == "Give --layouts 0."


def test_pictures_that_stay_still_are_never_rolled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesso.training.pool.encode", lambda tokenizer, captions: np.zeros((len(captions), 1)))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (1, 8, 8, 3), dtype=np.uint8)
    for still in (True, False):
        pool = Pool(RenderStore(Path(), 1, 1), 8, cast("Any", None), still)
        pool.take(Shard(image, ["a"], [{}]))
        assert all(np.array_equal(pool.moved(0, rng), image[0]) for _ in range(9)) is still
