"""In a real Krita: pixels are read in every depth, a result is added as one step, and the runner itself can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gesso.client import Client

from .conftest import LIMIT

pytestmark = [pytest.mark.krita, pytest.mark.timeout(LIMIT)]


def test_a_run_that_fails_is_seen_to_fail(krita: Any) -> None:
    """The negative control; it asks the daemon for nothing. Without `self.lab.faults.append` in the driver's `_uncaught` the first fault
    would be lost."""
    verdict = krita("failing")
    assert not verdict.ok
    assert verdict.facts == {"reached": "before"}
    assert "raised in a slot on purpose" in verdict.faults[0]
    assert "the condition was not met in time" in verdict.faults[1]


def test_every_depth_is_read_and_keeps_what_lies_below(krita: Any, gesso: Path) -> None:
    """Fails without the conversion in `documents.converted` (deep and grey documents read wrong), without filling a layer before it is
    added in `layers.add_group` (redo would bring an empty one back), without `refreshProjection` in `Without.read` (a group that was
    added just now would be seen though it is left out), without `_plain` in `Without._make` (vector layers would be missing), and in
    Krita 6 without `box.cut(canvas(document))` in `documents.selection` (an inverted selection would reach beyond the canvas)."""
    facts = krita("pixels").check()
    assert len(facts["spaces"]) == 7
    for space in facts["spaces"]:
        assert space["layer_space"] == space["space"]
        assert space["bounds"] == [20, 30, 8, 6]
        assert space["names"][1] == ["two", "one"]
        assert space["same_below"]
        assert space["inside_is_new"]
        assert space["outside_is_old"]
        assert space["after_undo"] == [space["after_undo"][0]]
        assert space["after_redo"] == space["names"]
        assert space["redone_pixels"]
        assert space["below_after_redo"]
    byte, word, half, single, grey, ink, lab = facts["spaces"]
    assert byte["read"] == "204080ff"
    assert word["read"] == "20204040808" + "0ffff"
    for deep in (half, single):  # linear 0.2159, 0.0513, 0.0144 is 0x80, 0x40, 0x20 in sRGB
        blue, green, red = (int.from_bytes(bytes.fromhex(deep["read"])[i : i + 2], "little") / 257 for i in (0, 2, 4))
        assert (blue, green, red) == pytest.approx((0x20, 0x40, 0x80), abs=1.5)
    assert (grey["depth"], grey["read"][:2]) == (1, grey["read"][2:4])
    assert [bool(space["notices"]) for space in facts["spaces"]] == [False] * 5 + [True] * 2
    assert "CMYK" in ink["notices"][0]
    assert (lab["depth"], "LAB" in lab["notices"][0]) == (2, True)
    check_selections(facts["selections"])
    assert facts["references"] == [True, True, True], "a reference image over the picture"
    with Client(home=gesso, start=False) as client:
        assert client.jobs() == [], "nobody asked for anything"


def check_selections(seen: dict[str, Any]) -> None:
    assert seen["none"] is None
    assert seen["empty"] is None
    x, y, width, height, least, most, values, length = seen["soft"]
    assert (x, y, width, height) == (26, 16, 28, 24)
    assert (least < 40, most, values > 10, length) == (True, 255, True, width * height)
    assert seen["inverted"] == [0, 0, 96, 80, 0, 255, 2, 96 * 80]
    assert seen["beyond"][:4] == [-20, 60, 50, 40]
    assert (seen["with_cover"], seen["without_cover"]) == ("ffffffff", "204080ff")
    assert seen["cover_still_visible"] is True
    assert seen["without_group"] == "204080ff", "a group that has just been added"
    assert seen["without_vector"][0] == "0000ffff", "a vector layer"
    assert seen["without_vector"][1] == "204080ff"
    assert seen["documents_after"] == 1
