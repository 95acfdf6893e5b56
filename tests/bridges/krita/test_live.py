"""Live painting without a host: every change is found within a bounded reach, and frames are sent, given up and spared as drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso_bridges.krita.boxes import Box
from gesso_bridges.krita.frames import Frames
from gesso_bridges.krita.strips import STRIP_PIXELS, Strips, pause


class Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.pixels = np.zeros((height, width), np.uint8)
        self.reads: list[int] = []

    def read(self, box: Box) -> bytes:
        self.reads.append(box.width * box.height)
        return self.pixels[box.y : box.bottom, box.x : box.right].tobytes()


@given(width=st.integers(1, 300), height=st.integers(1, 300), x=st.integers(0, 299), y=st.integers(0, 299))
def test_a_change_anywhere_is_found_in_one_round_and_all_is_then_new(width: int, height: int, x: int, y: int) -> None:
    canvas = Canvas(width, height)
    strips = Strips(Box(0, 0, width, height), canvas.read, pixels=500)
    for _ in strips.boxes:
        strips.tick()
    assert strips.complete
    before = strips.mark
    canvas.pixels[y % height, x % width] = 9
    assert sum(strips.tick() for _ in strips.boxes) == 1
    assert strips.mark != before
    assert b"".join(strips.data) == canvas.pixels.tobytes()


def test_a_tick_reads_a_bounded_part() -> None:
    canvas = Canvas(1024, 1024)
    strips = Strips(Box(0, 0, 1024, 1024), canvas.read)
    assert len(strips.boxes) == 16
    for _ in range(40):
        strips.tick()
    assert max(canvas.reads) <= STRIP_PIXELS


def test_near_the_brush_a_change_is_found_first() -> None:
    """Without `_near` the second stroke would wait for the round to come by again."""
    canvas = Canvas(100, 2000)
    strips = Strips(Box(0, 0, 100, 2000), canvas.read, pixels=1000)
    for _ in strips.boxes:
        strips.tick()
    canvas.pixels[1000, 5] = 1
    while not strips.tick():
        pass
    canvas.pixels[1012, 5] = 2  # the strip below
    ticks = next(number for number in range(1, 300) if strips.tick())
    assert ticks <= 6


def test_a_look_that_took_long_leaves_the_brush_alone_for_longer() -> None:
    assert [pause(took) for took in (0.0004, 0.005, 0.1, 9.0)] == [20, 20, 400, 500]


def test_frames_one_at_a_time_and_the_newest_wins() -> None:
    frames = Frames()
    assert frames.wants(1) == "send"
    frames.began(1)
    assert frames.wants(1) is None
    assert frames.wants(2, 0.1) == "cancel"
    frames.gave_up()
    assert frames.wants(3, 0.1) is None
    frames.ended()
    assert frames.wants(3) == "send"


def test_a_frame_after_one_that_was_given_up_runs_to_its_end() -> None:
    frames = Frames()
    frames.began(1)
    frames.gave_up()
    frames.ended()
    frames.began(2)
    assert frames.wants(3, 0.0) is None
    frames.ended()
    frames.began(3)
    assert frames.wants(4, 0.0) == "cancel"


@pytest.mark.parametrize("fraction", [0.5, 0.9, 1.0])
def test_what_is_more_than_half_done_is_finished(fraction: float) -> None:
    frames = Frames()
    frames.began(1)
    assert frames.wants(2, fraction) is None
