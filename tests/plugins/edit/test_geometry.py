"""Boxes, lengths and sizes of an edit: laws that hold for every mask, canvas and model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso.model.card import Defaults, Limits, ModelCard
from gesso_plugins.edit.boxes import Box, bounds
from gesso_plugins.edit.geometry import Wishes, margins, plan


def card(side: int = 512, multiple: int = 8, largest: int = 2048) -> ModelCard:
    return ModelCard(
        "m", "f", "d", "M", None, frozenset({"denoise"}), Defaults(width=side, height=side), Limits(64, largest, multiple)
    )  # fmt: skip


@st.composite
def places(draw: st.DrawFn) -> tuple[Box, Box]:
    """A canvas and a region inside it."""
    width, height = draw(st.integers(64, 8192)), draw(st.integers(64, 8192))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Box(0, 0, width, height), Box(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))


strengths = st.floats(0.05, 1.0)
cards = st.builds(card, st.sampled_from([128, 512, 1024]), st.sampled_from([8, 16, 64]), st.sampled_from([1024, 2048]))


@given(places(), strengths, cards)
def test_the_context_holds_the_region_and_lies_on_the_canvas(place: tuple[Box, Box], strength: float, model: ModelCard) -> None:
    canvas, region = place
    made = plan(region, canvas, model, strength, Wishes())
    assert canvas.contains(made.context)
    assert made.context.contains(region)
    assert made.context.contains(region.padded(made.margins.reach).within(canvas)) or made.context == canvas


@given(places(), strengths, cards)
def test_the_model_can_make_every_size(place: tuple[Box, Box], strength: float, model: ModelCard) -> None:
    canvas, region = place
    made = plan(region, canvas, model, strength, Wishes())
    for width, height in (made.first, made.working):
        assert model.size(width, height) == (width, height)
    if made.two_passes:
        assert all(small <= large for small, large in zip(made.first, made.working, strict=True))


@given(places(), strengths)
def test_lengths_are_ordered(place: tuple[Box, Box], strength: float) -> None:
    lengths = margins(place[1], strength, Wishes())
    assert 0 <= lengths.blend <= lengths.reach
    assert lengths.grow >= 2
    assert 8 <= lengths.feather <= 96


@given(places(), strengths, cards)
def test_the_same_again(place: tuple[Box, Box], strength: float, model: ModelCard) -> None:
    canvas, region = place
    assert plan(region, canvas, model, strength, Wishes()) == plan(region, canvas, model, strength, Wishes())


def test_documented_examples() -> None:
    canvas = Box(0, 0, 2048, 2048)
    made = plan(Box(900, 900, 300, 200), canvas, card(), 1.0, Wishes())
    assert (made.margins.grow, made.margins.feather, made.margins.blend) == (5, 30, 17)
    assert made.context == Box(742, 740, 616, 520)
    assert made.first == made.working == (616, 520)
    whole = plan(Box(0, 0, 2048, 2048), canvas, card(), 1.0, Wishes())
    assert whole.context == canvas
    assert whole.first == (512, 512)
    assert whole.working == (2048, 2048)


def test_a_small_region_is_seen_at_the_size_the_model_likes() -> None:
    made = plan(Box(10, 10, 1, 1), Box(0, 0, 4096, 4096), card(), 1.0, Wishes())
    assert made.context == Box(0, 0, 512, 512)
    assert made.working == (512, 512)
    tiny = plan(Box(10, 10, 1, 1), Box(0, 0, 100, 80), card(), 1.0, Wishes())
    assert tiny.context == Box(0, 0, 100, 80)
    assert tiny.working == (200, 160)


def test_wishes_win() -> None:
    lengths = margins(Box(0, 0, 500, 500), 1.0, Wishes(grow=0, feather=0))
    assert (lengths.grow, lengths.feather, lengths.blend) == (0, 0, 0)


def test_what_boxes_say_of_themselves() -> None:
    box = Box(2, 3, 4, 8)
    assert (box.right, box.bottom, box.area, box.diagonal) == (6, 11, 32, pytest.approx(80**0.5))
    assert np.argwhere(np.pad(np.ones((8, 4)), ((3, 0), (2, 0)))[box.slices]).max() == 7
    assert np.zeros((20, 20))[box.slices].shape == (8, 4)
    assert box.padded(2) == Box(0, 1, 8, 12)
    assert box.at_least(7, 9) == Box(1, 3, 7, 9)
    assert box.at_least(1, 12) == Box(2, 1, 4, 12)
    for outside in (Box(1, 3, 4, 8), Box(2, 2, 4, 8), Box(2, 3, 5, 8), Box(2, 3, 4, 9)):
        assert not box.contains(outside)
        assert outside.contains(box) == (outside.width + outside.height > 12)
    for moved in (Box(-3, -5, 4, 8), Box(30, 40, 4, 8)):
        assert moved.within(Box(0, 0, 20, 20)) == (Box(0, 0, 4, 8) if moved.x < 0 else Box(16, 12, 4, 8))
    assert Box(-5, -5, 40, 50).within(Box(1, 2, 20, 30)) == Box(1, 2, 20, 30)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (7, 3), (9, 11)])
def test_bounds(row: int, column: int) -> None:
    mask = np.zeros((10, 12), np.float32)
    assert bounds(mask) is None
    mask[row, column] = 0.01
    assert bounds(mask) == Box(column, row, 1, 1)
