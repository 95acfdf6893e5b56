"""What of a document leaves Krita: the context around the selection, inside the canvas, with what `edit` will need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso_bridges.krita.boxes import Box, NothingToEdit, Wishes, plan
from gesso_plugins.edit.boxes import Box as EditBox
from gesso_plugins.edit.geometry import Wishes as EditWishes
from gesso_plugins.edit.geometry import margins

CANVAS = Box(0, 0, 6000, 4000)


def holds(box: Box, other: Box) -> bool:
    return box.cut(other) == other


def test_without_a_selection_it_is_the_whole_canvas() -> None:
    for nothing in (None, Box(5, 5, 0, 0)):
        found = plan(nothing, CANVAS, Wishes())
        assert (found.selected, found.context, found.read, found.growth) == (CANVAS, CANVAS, CANVAS, (0, 0, 0, 0))


def test_a_small_selection_of_a_large_canvas_reads_a_small_box() -> None:
    found = plan(Box(3000, 2000, 200, 100), CANVAS, Wishes())
    assert (found.read.width, found.read.height) == (1024, 1024)
    assert holds(found.read, Box(3000, 2000, 200, 100))


@given(
    x=st.integers(-300, 6200), y=st.integers(-300, 4200), width=st.integers(1, 2500), height=st.integers(1, 2500),
    strength=st.floats(0.05, 1), beyond=st.booleans(), feather=st.none() | st.integers(0, 512),
)  # fmt: skip
def test_the_context_holds_all_that_edit_changes(
    *, x: int, y: int, width: int, height: int, strength: float, beyond: bool, feather: int | None
) -> None:
    """The reach is that of the plugin itself: a box cut too narrow would change what the model sees."""
    try:
        found = plan(Box(x, y, width, height), CANVAS, Wishes(strength, None, feather, 0.33, beyond))
    except NothingToEdit:
        assert not beyond or Box(x, y, width, height).cut(CANVAS).empty
        return
    selected, room = found.selected, CANVAS.united(Box(x, y, width, height)) if beyond else CANVAS
    lengths = margins(EditBox(selected.x, selected.y, selected.width, selected.height), strength, EditWishes(None, feather))
    assert holds(found.context, selected.padded(lengths.reach).cut(room))
    assert holds(CANVAS, found.read)
    assert holds(room, found.context)
    left, top, right, bottom = found.growth
    assert (left + found.read.width + right, top + found.read.height + bottom) == (found.context.width, found.context.height)
    assert min(found.growth) >= 0
    assert beyond or found.growth == (0, 0, 0, 0)


def test_what_cannot_be_edited_is_said() -> None:
    with pytest.raises(NothingToEdit, match="outside of the canvas"):
        plan(Box(-500, 0, 100, 100), CANVAS, Wishes(beyond=False))
    with pytest.raises(NothingToEdit, match="too far"):
        plan(Box(8000, 3000, 10, 10), CANVAS, Wishes())
